"""What closing a model does."""

import pytest

import ollamax
from ollamax import freed_memory


def test_a_closed_model_gives_its_memory_back_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[bool] = []
    monkeypatch.setattr(freed_memory, "give_back", lambda: calls.append(True))
    model = ollamax.load("demo")
    assert not calls
    model.close()
    model.close()
    assert calls == [True]
