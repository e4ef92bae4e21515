"""Choosing a backend by probe."""

import pytest

from ollamax.backend import Backend, Device, Probe
from ollamax.backend.base import choose
from ollamax.errors import BackendError


def backend(name: str, probe: Probe) -> type[Backend]:
    return type(name, (Backend,), {"name": name, "probe": classmethod(lambda _: probe)})


SLOW = backend("slow", Probe((Device("cpu", "x86"),)))
FAST = backend("fast", Probe((Device("cpu", "x86", rank=0.5), Device("gpu", "big", rank=9.0))))
BROKEN = backend("broken", Probe(reason="the driver is missing"))


def test_auto_takes_the_highest_rank() -> None:
    assert choose({"slow": SLOW, "fast": FAST, "broken": BROKEN}) is FAST
    assert choose({"slow": SLOW, "broken": BROKEN}) is SLOW


def test_a_named_backend_that_cannot_run_is_an_error() -> None:
    assert choose({"slow": SLOW, "fast": FAST}, "slow") is SLOW
    with pytest.raises(BackendError, match="backend broken cannot run here: the driver is missing"):
        choose({"slow": SLOW, "broken": BROKEN}, "broken")


def test_a_probe_that_raises_does_not_hide_the_others() -> None:
    def fail(_: object) -> Probe:
        raise RuntimeError("no such library")

    rude = type("rude", (Backend,), {"name": "rude", "probe": classmethod(fail)})
    assert choose({"rude": rude, "slow": SLOW}) is SLOW
    with pytest.raises(
        BackendError, match=r"backend rude cannot run here: probe\(\) raised RuntimeError: no such library"
    ):
        choose({"rude": rude}, "rude")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, r"probe\(\) returned NoneType where a Probe is expected"),
        (Probe(devices=3), r"probe\(\) named devices that are no Device"),  # type: ignore[arg-type]
        (Probe((Device("cpu", "x86"), "gpu")), r"probe\(\) named devices that are no Device"),  # type: ignore[arg-type]
        (Probe((Device("cpu", "x86", rank="high"),)), r"probe\(\) named devices that are no Device"),  # type: ignore[arg-type]
    ],
    ids=["none", "number", "text", "rank"],
)
def test_a_probe_that_answers_nonsense_does_not_hide_the_others(answer: Probe, reason: str) -> None:
    odd = backend("odd", answer)
    assert choose({"odd": odd, "slow": SLOW}) is SLOW
    with pytest.raises(BackendError, match=rf"backend odd cannot run here: {reason}"):
        choose({"odd": odd}, "odd")


def test_a_probe_may_not_end_the_program_or_print_into_its_output(capsys: pytest.CaptureFixture[str]) -> None:
    def leave(_: object) -> Probe:
        print("looking for a lyre")
        raise SystemExit(5)

    rude = type("rude", (Backend,), {"name": "rude", "probe": classmethod(leave)})
    assert choose({"rude": rude, "slow": SLOW}) is SLOW
    assert capsys.readouterr() == ("", "looking for a lyre\n")


def test_auto_without_any_device_tells_every_reason() -> None:
    with pytest.raises(BackendError, match=r"broken: the driver is missing.*pip install ollamax-backend-cpu"):
        choose({"broken": BROKEN})
