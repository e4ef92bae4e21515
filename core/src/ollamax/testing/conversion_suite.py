"""What a converter and the architecture that it serves must agree on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ollamax.arch import Architecture
from ollamax.arch.binding import bind
from ollamax.arch.trace import trace
from ollamax.convert.mapping import Status, map_tensors
from ollamax.engine.source import open_converter, open_source
from ollamax.errors import BindingError
from ollamax.gguf import Metadata, open_gguf
from ollamax.kvcache import CacheSize
from ollamax.plugins import get_registry
from ollamax.testing.checkpoint_fixtures import CheckpointFixtures
from ollamax.testing.framework import pytest
from ollamax.types import TensorInfo


class ConversionSuite(CheckpointFixtures):
    """From a checkpoint to a file, and from the file's tensors to the model's parameters."""

    @pytest.fixture
    def tensors(self, file: Path) -> dict[str, TensorInfo]:
        """The file's tensors by name."""
        with open_gguf(file) as opened:
            return dict(opened.tensors)

    @pytest.fixture
    def fresh(self, file: Path) -> Architecture:
        """The model without weights."""
        with open_gguf(file) as opened:
            metadata = Metadata(opened.metadata, file)
            return get_registry().architecture(metadata.string("general.architecture"))(metadata)

    def test_every_tensor_has_a_place_or_is_left_out_on_purpose(self, directory: Path) -> None:
        """And config.json calls for each that there is."""
        checkpoint, converter = open_converter(directory, get_registry())
        with closing(checkpoint):
            rows = map_tensors(checkpoint.tensors, converter)
        assert rows
        assert [row.problem for row in rows if row.status.fails] == []
        assert any(row.status is Status.MAPPED for row in rows)
        assert converter.shapes(), "shapes() says what a checkpoint must hold"

    def test_a_file_reads_back_as_it_was_converted(self, directory: Path, file: Path) -> None:
        """Keys, tensors and their bytes."""
        with closing(open_source(directory, get_registry())) as source, open_gguf(file) as opened:
            assert list(opened.tensors) == list(source.tensors)
            for name, info in source.tensors.items():
                assert (opened.tensors[name].dtype, opened.tensors[name].shape) == (info.dtype, info.shape)
                np.testing.assert_array_equal(opened.tensor_bytes(name), source.tensor_bytes(name))
            assert opened.metadata.keys() == source.metadata.keys()
            for key, value in source.metadata.items():
                assert _plain(opened.metadata[key]) == _plain(value), key

    def test_every_parameter_gets_a_tensor_and_every_tensor_is_used(
        self, fresh: Architecture, tensors: dict[str, TensorInfo]
    ) -> None:
        """The model binds, and what it computes reads every weight that it cannot do without."""
        bind(fresh, tensors, "the file")
        held = {path: one for path, one in fresh.parameters() if one.tensor is not None}
        assert [path for path, one in fresh.parameters() if path not in held and not one.optional] == []
        # Some weights are for short contexts or for long ones.
        sizes = [CacheSize(1, cells, step=4) for cells in (4, 1 << 17)]
        graphs = [one for size in sizes for one in trace(fresh, vocabulary(tensors), size, "the file").graphs]
        read = {name for graph in graphs for name in graph.weights}
        needed = {one.tensor.attrs["name"] for one in held.values() if one.tensor is not None and not one.optional}
        assert sorted(needed - read) == [], "weights that no computation reads"

    def test_a_missing_tensor_is_named(self, fresh: Architecture, tensors: dict[str, TensorInfo]) -> None:
        """Each that the model cannot do without."""
        names = list(_needed(fresh, tensors))
        assert names
        for name in names:
            with pytest.raises(BindingError) as caught:
                bind(fresh, {key: info for key, info in tensors.items() if key != name}, "the file")
            assert f"missing: {name}" in str(caught.value)

    def test_an_extra_tensor_is_named(self, fresh: Architecture, tensors: dict[str, TensorInfo]) -> None:
        """One that no parameter takes."""
        some, name = next(iter(tensors.values())), "blk.0.unheard_of.weight"
        with pytest.raises(BindingError, match=r"unused: blk\.0\.unheard_of\.weight"):
            bind(fresh, {**tensors, name: replace(some, name=name)}, "the file")

    def test_a_wrong_shape_is_named(self, fresh: Architecture, tensors: dict[str, TensorInfo]) -> None:
        """tensor_shapes() covers every tensor, whose last axis at least is known."""
        for name, info in tensors.items():
            wrong = replace(info, shape=(*info.shape[:-1], info.shape[-1] + 1))
            with pytest.raises(BindingError) as caught:
                bind(fresh, {**tensors, name: wrong}, "the file")
            assert f"misshapen: {name}" in str(caught.value)


def vocabulary(tensors: dict[str, TensorInfo]) -> int:
    """How many tokens have logits."""
    output = tensors.get("output.weight") or tensors["token_embd.weight"]
    return output.shape[0]


def _needed(model: Architecture, tensors: dict[str, TensorInfo]) -> Iterator[str]:
    for path, parameter in model.parameters():
        if path in tensors and not parameter.optional and parameter.alt not in tensors:
            yield path


def _plain(value: Any) -> Any:
    """Plain Python; a number with a fraction as GGUF keeps it, in float32."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    return float(np.float32(value)) if isinstance(value, float) else value
