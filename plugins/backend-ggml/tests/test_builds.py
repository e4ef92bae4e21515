"""Another build of ggml than ggml-python's, named by the environment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import ollamax
from ollamax.errors import BackendError
from ollamax_backend_ggml import library as module
from ollamax_backend_ggml.backend import GGML
from ollamax_backend_ggml.builds import VARIABLE


@pytest.fixture(autouse=True)
def fresh() -> None:
    module.library.cache_clear()


def reason(value: object, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(VARIABLE, str(value))
    text = GGML.probe().reason
    assert text
    assert "\n" not in text
    assert text.startswith(VARIABLE)
    return text


def test_a_folder_without_a_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"{tmp_path} holds no libggml" in reason(tmp_path, monkeypatch)
    missing = reason(tmp_path / "missing", monkeypatch)
    assert missing.endswith("missing is neither a folder nor an installed package")


def test_auto_takes_no_other_backend_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(BackendError, match=r"backend ggml cannot run here: OLLAMAX_GGML_LIBRARY: .* holds no libggml"):
        ollamax.load("demo")
    ollamax.load("demo", backend="cpu").close()


def test_a_library_that_does_not_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "libggml.so").write_bytes(b"no library")
    assert f"the library in {tmp_path} does not load" in reason(tmp_path, monkeypatch)


@pytest.mark.parametrize("name", ["no_such_package", "os", "__main__"])
def test_a_name_that_is_no_package(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"is '{name}', which is neither a folder nor an installed package" in reason(name, monkeypatch)


def test_a_package_without_a_library(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "holds no libggml" in reason("numpy", monkeypatch)


def test_a_library_of_another_kind_has_no_functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import _ctypes

    (tmp_path / "libggml.so").write_bytes(Path(_ctypes.__file__).read_bytes())
    assert "has no function ggml_log_set" in reason(tmp_path, monkeypatch)


ANSWER = """
import ollamax
with ollamax.load("demo", backend="ggml") as model:
    print("".join(chunk.text for chunk in model.generate("Once upon a time", max_tokens=20, temperature=0)))
"""


def answer(value: str) -> str:
    environment = {**os.environ, VARIABLE: value}
    done = subprocess.run(
        [sys.executable, "-c", ANSWER], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_installed_package_serves_as_a_build() -> None:
    """The one that ships the bindings has a library, too."""
    assert answer("ggml") == answer("")
