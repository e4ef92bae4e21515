"""Files that do not fit: every problem is named at once, before weights are loaded."""

import re
from pathlib import Path

import pytest
from random_llama import write_random_llama

import ollamax
from ollamax.errors import (
    ArchitectureError,
    BackendError,
    BindingError,
    GGUFError,
    OllamaxError,
    OptionError,
    TokenizerError,
)


def refuse(path: Path, kind: type[OllamaxError], message: str, **options: object) -> None:
    with pytest.raises(kind, match=message) as caught:
        ollamax.load(path, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_missing_tensors_are_all_named(tmp_path: Path) -> None:
    path = write_random_llama(tmp_path / "a.gguf", llama__block_count=1)
    more = write_random_llama(tmp_path / "b.gguf", drop="output_norm.weight")
    refuse(more, BindingError, "missing: output_norm.weight$")
    deeper = tmp_path / "c.gguf"
    deeper.write_bytes(
        path.read_bytes().replace(b"llama.block_count\x04\0\0\0\x01", b"llama.block_count\x04\0\0\0\x02")
    )
    refuse(deeper, BindingError, r"missing: blk.1.attn_norm.weight, .*blk.1.ffn_down.weight$")


def test_extra_tensors_are_all_named(tmp_path: Path) -> None:
    path = write_random_llama(tmp_path / "a.gguf")
    path.write_bytes(path.read_bytes().replace(b"llama.block_count\x04\0\0\0\x02", b"llama.block_count\x04\0\0\0\x01"))
    refuse(path, BindingError, "unused: blk.1.attn_q.weight, .*blk.1.ffn_norm.weight$")


def test_misshapen_tensors_are_all_named(tmp_path: Path) -> None:
    path = write_random_llama(tmp_path / "a.gguf")
    old, new = (b"llama.feed_forward_length\x04\0\0\0" + size for size in (b"\x40", b"\x60"))
    path.write_bytes(path.read_bytes().replace(old, new))
    refuse(path, BindingError, r"misshapen: blk.0.ffn_gate.weight \(64, 32\), expected \(96, 32\), .*blk.1.ffn_down")


@pytest.mark.parametrize("parallel", ["2", None, 1.5, 0, -1, True, [1]])
def test_parallel_is_a_whole_number(tmp_path: Path, parallel: object) -> None:
    path = write_random_llama(tmp_path / "a.gguf")
    message = rf"^parallel is {re.escape(repr(parallel))}, expected a whole number, at least 1$"
    refuse(path, OptionError, message, parallel=parallel)


def test_a_mixture_of_experts(tmp_path: Path) -> None:
    path = write_random_llama(tmp_path / "a.gguf", llama__expert_count=8)
    refuse(path, ArchitectureError, "llama.expert_count is 8; mixtures of experts are not supported, expected 0")


def test_heads_that_do_not_divide(tmp_path: Path) -> None:
    path = write_random_llama(tmp_path / "a.gguf", llama__attention__head_count_kv=3)
    refuse(path, ArchitectureError, "4 query heads do not divide into 3 key heads")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"llama__block_count": 0}, "llama.block_count.*0"),
        ({"llama__block_count": 2**32 - 1}, "llama.block_count.*4294967295 is too large; at most 4096"),
        ({"llama__embedding_length": "wide"}, "llama.embedding_length"),
        ({"llama__context_length": -5}, "llama.context_length"),
        ({"llama__attention__layer_norm_rms_epsilon": float("nan")}, "layer_norm_rms_epsilon"),
    ],
)
def test_hyper_parameters_are_checked(tmp_path: Path, change: dict[str, object], message: str) -> None:
    good = write_random_llama(tmp_path / "good.gguf")
    from ollamax.gguf import open_gguf, write_gguf

    with open_gguf(good) as file:
        values = {**file.metadata, **{key.replace("__", "."): value for key, value in change.items()}}
        write_gguf(tmp_path / "bad.gguf", values, file.tensors.values(), file.tensor_bytes)
    refuse(tmp_path / "bad.gguf", GGUFError, message)


def test_rope_settings_are_checked(tmp_path: Path) -> None:
    odd = write_random_llama(tmp_path / "a.gguf", llama__rope__dimension_count=7)
    refuse(odd, ArchitectureError, "expected an even number up to the head size 8")
    yarn = write_random_llama(tmp_path / "b.gguf", llama__rope__scaling__type="yarn")
    refuse(yarn, ArchitectureError, "'yarn', expected none or linear")


def test_unknown_architecture_names_what_is_installed_and_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ollamax.plugins.index._index", lambda: {"architectures": {"later": "ollamax-plugin-later"}})
    path = write_random_llama(tmp_path / "a.gguf", general__architecture="later")
    refuse(path, ArchitectureError, "'later' is not installed .*llama.*pip install ollamax-plugin-later")
    other = write_random_llama(tmp_path / "b.gguf", general__architecture="nobody")
    refuse(other, ArchitectureError, "'nobody' is not installed .*llama.*list-plugins")


def test_unknown_pre_tokenizer_and_backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ollamax.plugins.index._index", lambda: {"backends": {"later": "ollamax-backend-later"}})
    path = write_random_llama(tmp_path / "a.gguf", tokenizer__ggml__pre="strange")
    refuse(path, TokenizerError, "strange")
    good = write_random_llama(tmp_path / "b.gguf")
    refuse(good, BackendError, "'later' is not installed.*pip install ollamax-backend-later", backend="later")


def test_vocabulary_and_embedding_must_agree(tmp_path: Path) -> None:
    path = write_random_llama(tmp_path / "a.gguf")
    from ollamax.gguf import open_gguf, write_gguf

    with open_gguf(path) as file:
        values = {**file.metadata}
        values["tokenizer.ggml.tokens"] = [*values["tokenizer.ggml.tokens"], "extra"]
        values["tokenizer.ggml.token_type"] = [*values["tokenizer.ggml.token_type"].tolist(), 1]
        write_gguf(tmp_path / "b.gguf", values, file.tensors.values(), file.tensor_bytes)
    refuse(tmp_path / "b.gguf", BindingError, "258.*expected 259")
