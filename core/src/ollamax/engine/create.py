"""Creating a model in the store from a Modelfile."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from ollamax.engine.model_check import ModelCheck
from ollamax.engine.options import parameters, parse
from ollamax.engine.origin import Origin, find_origin, inherit
from ollamax.engine.parameter_lines import line_errors
from ollamax.engine.source import open_source
from ollamax.errors import ModelfileError
from ollamax.modelfile import Modelfile
from ollamax.plugins import Registry, get_registry
from ollamax.store import Layer, MediaType, ModelName, Store, Transaction
from ollamax.types import TensorSource

if TYPE_CHECKING:
    from ollamax.convert.file_type import FileType
    from ollamax.store.blobs import HashingSink

Progress = Callable[[int, int], object]


def create(
    name: str,
    modelfile: Modelfile,
    base_dir: Path,
    quantize: str | None = None,
    progress: Progress | None = None,
    store: Store | None = None,
    *,
    requantize: bool = False,
    warn: Callable[[str], object] | None = None,
) -> ModelName:
    """Make the model ``name`` as ``modelfile`` says; returns its full name.

    ``base_dir`` is where relative paths in FROM start. ``quantize`` names the file type (Q8_0, Q4_K_M, ...); weights
    must be F32, F16, BF16 or Q8_0 before, or any with ``requantize``. ``progress`` is called with the bytes written
    and their total, ``warn`` with a sentence on each converted tensor that holds NaN. ``store`` is by default that of
    OLLAMAX_MODELS. Everything is checked before anything is written, and when writing fails or is interrupted the
    store stays as it was. Raises an OllamaxError that says what is wrong.
    """
    from ollamax.convert.file_type import parse_file_type

    full_name = ModelName.parse(name)
    kind = None if quantize is None else parse_file_type(quantize)
    from_ = _check_own(modelfile)
    store, registry = store or Store(), get_registry()
    origin = find_origin(from_, base_dir, store, registry)
    with closing(open_source(origin.path, registry)) as source:
        result = inherit(modelfile, origin.modelfile)
        ModelCheck(result, source.metadata, source.tensors, origin.path, registry).run()
        with store.transaction() as transaction:
            model = _add_model(transaction, origin, source, kind, registry, progress, requantize, warn)
            layers = [model, *_setting_layers(transaction, result)]
            config = transaction.add_bytes(MediaType.CONFIG, _config(source, kind, layers))
            transaction.commit(full_name, config, layers)
    return full_name


def named_origin(modelfile: Modelfile) -> str:
    """What FROM says; raises ModelfileError where there is none."""
    if modelfile.from_ is None:
        raise ModelfileError("the Modelfile has no FROM; name a model, a .gguf file or a Hugging Face directory")
    return modelfile.from_


def _check_own(modelfile: Modelfile) -> str:
    """Its FROM, once it is sure that nothing is wrong with the Modelfile itself; before gigabytes are looked at."""
    from_ = named_origin(modelfile)
    for error in line_errors(modelfile):
        raise error
    if modelfile.template is not None:
        from ollamax.template import choose_template

        choose_template(modelfile.template, {})
    return from_


def _add_model(
    transaction: Transaction,
    origin: Origin,
    source: TensorSource,
    kind: FileType | None,
    registry: Registry,
    progress: Progress | None,
    requantize: bool,
    warn: Callable[[str], object] | None,
) -> Layer:
    """The blob of the GGUF file: shared, copied or written."""
    from ollamax.convert.nan_watch import NaNWatch
    from ollamax.convert.quantize import Quantized
    from ollamax.gguf import GGUFFile
    from ollamax.gguf.writer import write_gguf_to

    stored = isinstance(source, GGUFFile)
    if kind is None and origin.blob is not None:
        return origin.blob
    if kind is None and stored:
        return transaction.add_file(MediaType.MODEL, origin.path, progress)
    # A file's own types of numbers are kept.
    metadata = source.typed_metadata if isinstance(source, GGUFFile) else source.metadata
    watched = source if warn is None else NaNWatch(source, warn)
    # Plugins load their libraries to say what they can write: only where something is to be written so.
    result = watched if kind is None else Quantized(watched, kind, registry.writers(), metadata, requantize=requantize)

    def write(sink: HashingSink) -> None:
        write_gguf_to(
            sink,
            result.metadata,
            result.tensors.values(),
            result.tensor_bytes,
            origin=origin.path,
            progress=progress,
        )

    return transaction.add(MediaType.MODEL, write)


def _setting_layers(transaction: Transaction, modelfile: Modelfile) -> list[Layer]:
    texts: list[tuple[MediaType, str]] = []
    if modelfile.template is not None:
        texts.append((MediaType.TEMPLATE, modelfile.template))
    if modelfile.system is not None:
        texts.append((MediaType.SYSTEM, modelfile.system))
    if options := parse(parameters(modelfile.parameters)):
        texts.append((MediaType.PARAMS, json.dumps(options)))
    if modelfile.messages:
        turns = [{"role": message.role, "content": message.content} for message in modelfile.messages]
        texts.append((MediaType.MESSAGES, json.dumps(turns, ensure_ascii=False)))
    texts += [(MediaType.LICENSE, text) for text in modelfile.licenses]
    return [transaction.add_bytes(media_type, text.encode()) for media_type, text in texts]


def _config(source: TensorSource, kind: FileType | None, layers: list[Layer]) -> bytes:
    from ollamax.convert.file_type import file_type_name
    from ollamax.store.image import image_config

    parameters = sum(tensor.elements for tensor in source.tensors.values())
    stored_type = file_type_name(source.metadata.get("general.file_type"))
    family = str(source.metadata["general.architecture"])
    return image_config(family, parameters, kind.name if kind else stored_type, layers)
