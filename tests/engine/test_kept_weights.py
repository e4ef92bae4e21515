"""What a backend made of a stored model's weights is kept for the next time, if that is asked for."""

import errno
import os
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from random_llama import write_random_llama

import ollamax
from ollamax.cli.main import main
from ollamax.store import Store
from ollamax.types import DType
from ollamax_backend_onnx import program, weight_files

IDS = [5, 17, 200, 33, 91]
FILES = 1 + 2 * 7 + 1
"""The output, two layers, and an empty one for weights that are not kept."""


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The store, with a model "mine" in it."""
    monkeypatch.setenv("OLLAMAX_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("OLLAMAX_KEEP_COMPILED", "1")
    write_random_llama(tmp_path / "a.gguf", dtype=DType.Q4_1)
    (tmp_path / "Modelfile").write_text("FROM ./a.gguf")
    assert main(["create", "mine", "-f", str(tmp_path / "Modelfile")]) == 0
    return tmp_path / "models"


def logits() -> np.ndarray:
    with ollamax.load("mine", backend="onnx") as model:
        return np.asarray(model.logits(IDS))


def kept(store: Path) -> list[Path]:
    return sorted(path for path in (store / "compiled").rglob("*") if path.is_file())


def test_a_second_load_packs_nothing(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = logits()
    assert len(kept(stored)) == FILES
    assert {path.parent.parent.name for path in kept(stored)} == {Store().find("mine").model_path.name}  # type: ignore[union-attr]
    with monkeypatch.context() as patch:
        patch.setattr(weight_files, "pack", None)
        np.testing.assert_array_equal(logits(), expected)
    one, other = kept(stored)[:2]
    one.write_bytes(b"too short")
    other.replace(stored / "moved")
    other.symlink_to(stored / "moved")
    np.testing.assert_array_equal(logits(), expected)
    assert not other.is_symlink()
    monkeypatch.setattr("ollamax_backend_onnx.weight_files.version", lambda _: "99")
    assert logits().shape == expected.shape
    assert len(kept(stored)) == 2 * FILES


def test_the_runtime_maps_what_is_kept(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No array of a large packed weight is given to it, whether it is kept or not, but for scales that are not kept."""
    given: list[str] = []
    plain = program.open_session
    monkeypatch.setattr("ollamax_backend_onnx.builder._INLINE", 64)
    monkeypatch.setattr(
        program, "open_session", lambda builder, *rest: (given.extend(builder.large), plain(builder, *rest))[1]
    )
    expected = logits()
    np.testing.assert_array_equal(logits(), expected)
    assert not [name for name in given if name.endswith((".blocks", ".scales", ".offsets"))]
    monkeypatch.delenv("OLLAMAX_KEEP_COMPILED")
    monkeypatch.setattr(weight_files, "_SMALL", 64)
    np.testing.assert_array_equal(logits(), expected)
    assert not [name for name in given if name.endswith((".blocks", ".offsets"))]
    assert [name for name in given if name.endswith(".scales")]


def test_it_goes_with_the_model(stored: Path) -> None:
    logits()
    assert kept(stored)
    assert main(["rm", "mine"]) == 0
    assert not list((stored / "compiled").iterdir())


def test_what_a_load_makes_when_its_model_is_gone_goes_with_the_next(stored: Path) -> None:
    logits()
    (directory,) = (stored / "compiled").iterdir()
    late, odd = (directory.with_name(f"sha256-{digit * 64}") for digit in "ab")
    shutil.copytree(directory, late)
    odd.write_text("no directory")
    (stored / "compiled" / "notes").touch()
    assert main(["create", "other", "-f", str(stored.parent / "Modelfile")]) == 0
    assert sorted(path.name for path in (stored / "compiled").iterdir()) == ["notes", directory.name]


def test_nothing_is_kept_unasked_or_outside_of_the_store(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ollamax.load(stored.parent / "a.gguf", backend="onnx").close()
    monkeypatch.delenv("OLLAMAX_KEEP_COMPILED")
    logits()
    assert not kept(stored)


def test_a_directory_that_cannot_be_written_is_a_warning(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights are temporary files then."""
    expected = logits()
    shutil.rmtree(stored / "compiled")
    (stored / "compiled").write_text("a file where a directory would be")
    monkeypatch.setattr(weight_files, "_SMALL", 0)
    monkeypatch.setattr(weight_files, "pack_in_memory", None)
    with pytest.warns(RuntimeWarning, match=r"compiled.*: weights cannot be kept \(Not a directory\); mend that, or"):
        np.testing.assert_array_equal(logits(), expected)


@pytest.mark.skipif(sys.platform != "linux", reason="other platforms have no such names")
def test_a_store_whose_name_is_not_utf8(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, odd = logits(), stored.with_name(os.fsdecode(b"\xff"))
    stored.rename(odd)
    monkeypatch.setenv("OLLAMAX_MODELS", str(odd))
    with pytest.warns(RuntimeWarning, match=r"weights cannot be kept \(the runtime takes paths in UTF-8 alone\)"):
        np.testing.assert_array_equal(logits(), expected)


def test_what_is_no_file_is_never_opened(stored: Path) -> None:
    expected = logits()
    path = next(path for path in kept(stored) if path.stat().st_size > 100)
    path.unlink()
    os.mkfifo(path)
    np.testing.assert_array_equal(logits(), expected)
    assert path.is_file()


def test_what_is_not_safely_on_the_disk_is_not_kept(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.EIO, "the disk broke")

    with monkeypatch.context() as patch:
        patch.setattr("ollamax_backend_onnx.weight_files.os.fsync", fail)
        expected = logits()
    assert [path.name for path in kept(stored)] == [weight_files.WEIGHTS_FILE]
    np.testing.assert_array_equal(logits(), expected)
    assert len(kept(stored)) == FILES


def test_what_a_killed_process_left_goes_with_the_next_packing(stored: Path) -> None:
    logits()
    directory = kept(stored)[0].parent
    for name, age in (("unfinished-old", 48 * 3600), ("unfinished-new", 3600)):
        (directory / name).mkdir()
        (directory / name / "half").touch()
        os.utime(directory / name, (time.time() - age,) * 2)
    next(path for path in kept(stored) if path.stat().st_size > 100).unlink()
    logits()
    assert [path.name for path in directory.iterdir() if path.is_dir()] == ["unfinished-new"]


def test_a_directory_without_its_empty_file_that_cannot_be_written(
    stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, expected = Path.touch, logits()

    def touch(path: Path) -> None:
        if path.is_relative_to(stored):
            raise PermissionError(errno.EACCES, "read-only", str(path))
        plain(path)

    next(path for path in kept(stored) if path.name == weight_files.WEIGHTS_FILE).unlink()
    monkeypatch.setattr(Path, "touch", touch)
    monkeypatch.setattr("ollamax_backend_onnx.builder._INLINE", 64)
    with pytest.warns(RuntimeWarning, match=r"cannot be kept \(read-only\)"):
        np.testing.assert_array_equal(logits(), expected)
