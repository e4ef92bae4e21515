"""Programs are walked or compiled."""

import pytest


@pytest.fixture(params=["walked", "compiled"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How programs run; what is compiled is so from its first run on."""
    monkeypatch.setenv("OLLAMAX_METAL_COMPILE", "1" if request.param == "compiled" else "0")
    monkeypatch.setattr("ollamax_backend_metal.forms.WALKS", 0)
    return str(request.param)
