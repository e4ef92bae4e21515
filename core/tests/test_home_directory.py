"""Where models lie for users with and without a home directory."""

from pathlib import Path

import pytest

from ollamax import config
from ollamax.cli.line_editor import Terminal
from ollamax.errors import StoreError


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", unknown)
    monkeypatch.delenv("OLLAMAX_MODELS", raising=False)


def test_models_lie_below_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.delenv("OLLAMAX_MODELS", raising=False)
    assert config.models_dir() == tmp_path / ".ollamax" / "models"


@pytest.mark.usefixtures("homeless")
def test_without_a_home_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="set OLLAMAX_MODELS"):
        config.models_dir()
    monkeypatch.setenv("OLLAMAX_MODELS", str(tmp_path))
    assert config.models_dir() == tmp_path


def test_the_home_of_a_user_that_does_not_exist_is_an_ordinary_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMAX_MODELS", "~no-such-user-here/models")
    assert config.models_dir() == Path("~no-such-user-here/models")


@pytest.mark.usefixtures("homeless")
def test_without_a_home_a_session_keeps_no_history(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("builtins.input", lambda _prompt: "hello")
    terminal = Terminal()
    assert terminal.read(">>> ") == "hello"
    terminal.close()
    assert list(tmp_path.iterdir()) == []
