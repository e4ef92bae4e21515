"""Choosing a backend by probe."""

import pytest

from ollamax.backend import Backend, Device, Probe, Rate, Rates
from ollamax.backend.ranking import PROMPT_SHARE, SMALL, START_SHARE, choose, rank, speed
from ollamax.errors import BackendError
from ollamax.types import DType


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


def incomplete(_: object) -> None:
    raise BackendError("half of it is missing")


HALF = type("half", (FAST,), {"name": "half", "check_installation": classmethod(incomplete)})


def test_auto_passes_over_what_turns_out_not_to_be_installed() -> None:
    assert choose({"half": HALF, "slow": SLOW}) is SLOW
    with pytest.raises(BackendError, match="backend half cannot run here: half of it is missing"):
        choose({"half": HALF, "slow": SLOW}, "half")
    with pytest.raises(BackendError, match=r"no installed backend can run here \(half: half of it is missing\)"):
        choose({"half": HALF})


def test_auto_looks_at_all_of_one_backend_alone() -> None:
    assert choose({"half": HALF, "best": backend("best", Probe((Device("cpu", "x86", rank=99),)))}).name == "best"


def test_auto_keeps_to_backends_that_have_the_device() -> None:
    both = {"slow": backend("slow", Probe((Device("NPU0", "x86"),))), "fast": FAST}
    assert choose(both) is FAST
    assert choose(both, device="GPU") is FAST
    assert choose(both, device="npu0") is both["slow"]
    with pytest.raises(BackendError, match=r"takes has a device 'tpu'; there are: gpu \(fast\), cpu \(fast\), NPU0 \("):
        choose(both, device="tpu")
    assert choose(both, "slow", device="tpu") is both["slow"]  # which says itself what it has


def measured(name: str, rank: float, **groups: tuple[float, float]) -> type[Backend]:
    rates = Rates({group: Rate(*rate) for group, rate in groups.items()}, "in a dream")
    return backend(name, Probe((Device("cpu", "x86", rank=rank, rates=rates),)))


EVEN = measured("even", 10.0, Q4_0=(1.0, 1.0), Q8_0=(1.0, 1.0), K=(0.8, 1.0))
BYTES = measured("bytes", 2.0, Q4_0=(0.9, 0.9), Q8_0=(1.8, 0.9))
BOTH = {"even": EVEN, "bytes": BYTES}


def test_auto_goes_by_the_rates_of_a_model_s_types() -> None:
    assert choose(BOTH, stored={DType.Q4_0: SMALL, DType.F32: 100}) is EVEN
    assert choose(BOTH, stored={DType.Q8_0: SMALL, DType.F32: 100}) is BYTES
    assert choose(BOTH, stored={DType.Q8_0: SMALL, DType.Q4_0: 9 * SMALL}) is EVEN
    assert choose(BOTH, stored={DType.Q8_0: 9 * SMALL, DType.Q4_0: SMALL}) is BYTES
    assert choose(BOTH, "even", {DType.Q8_0: SMALL}) is EVEN


def test_a_small_model_is_left_to_the_rank() -> None:
    assert choose(BOTH, stored={DType.Q8_0: SMALL - 1}) is EVEN


def test_speed_weighs_the_times_of_types_by_their_bytes() -> None:
    rates = Rates({"Q4_0": Rate(1.0, 1.0), "Q8_0": Rate(2.0, 0.5, 0.25)}, "")
    time = START_SHARE / 0.25 + (1 - START_SHARE) * (PROMPT_SHARE / 2 + (1 - PROMPT_SHARE) / 0.5)
    assert speed(rates, {DType.Q4_0: 7}) == pytest.approx(1.0)
    assert speed(rates, {DType.Q8_0: 7}) == pytest.approx(1 / time)
    assert speed(rates, {DType.Q4_0: 30, DType.Q8_0: 10}) == pytest.approx(40 / (30 + 10 * time))
    assert speed(rates, {DType.TQ1_0: 7}) == pytest.approx(1 / time)  # not measured: as the slowest


def test_auto_counts_what_a_start_takes() -> None:
    late = backend("late", Probe((Device("cpu", "x86", rates=Rates({"Q8_0": Rate(1.8, 0.9, 0.15)}, "")),)))
    assert choose({"late": late, "bytes": BYTES}, stored={DType.Q8_0: SMALL}) is BYTES
    assert choose({"late": late, "even": EVEN}, stored={DType.Q8_0: SMALL}) is EVEN
    assert choose({"bytes": BYTES, "even": EVEN}, stored={DType.Q8_0: SMALL}) is BYTES


def test_devices_that_were_not_measured_keep_their_rank() -> None:
    stored = {DType.Q8_0: SMALL}
    graphics = backend("graphics", Probe((Device("gpu", "big", rank=10.5),)))
    assert choose({**BOTH, "graphics": graphics}, stored=stored) is graphics
    other = backend("other", Probe((Device("cpu", "x86", rank=9.5),)))
    assert choose({**BOTH, "other": other}, stored=stored) is BYTES
    probes = {name: item.probe() for name, item in {**BOTH, "graphics": graphics, "other": other}.items()}
    assert [place.backend for place in rank(probes, stored)] == ["graphics", "bytes", "even", "other"]
    assert [place.backend for place in rank(probes, {DType.Q4_0: SMALL})] == ["graphics", "even", "bytes", "other"]


def test_auto_never_takes_what_is_only_chosen_by_name() -> None:
    shy = backend("shy", Probe((Device("cpu", "x86", rank=99.0, only_by_name="it is slow"),)))
    assert choose({"shy": shy, "slow": SLOW}) is SLOW
    assert choose({"shy": shy, "slow": SLOW}, "shy") is shy
    with pytest.raises(BackendError, match=r"\(shy: it is slow \(--backend shy takes it\)\)"):
        choose({"shy": shy})


@pytest.mark.parametrize(
    "rates",
    [
        *(3, Rates({}, ""), Rates({"Q4": Rate(1, 1)}, "")),
        *(Rates({"K": Rate(0, 1)}, ""), Rates({"K": Rate(1, 0)}, ""), Rates({"K": Rate(1, 1, 0)}, "")),
        Rates({"K": (1, 1)}, ""),  # type: ignore[dict-item]
    ],
    ids=["number", "empty", "group", "no prompt", "no decode", "no start", "pair"],
)
def test_rates_that_make_no_sense_are_a_reason(rates: Rates) -> None:
    odd = backend("odd", Probe((Device("cpu", "x86", rank=99.0, rates=rates),)))
    assert choose({"odd": odd, "slow": SLOW}) is SLOW
    with pytest.raises(BackendError, match="rates of cpu that are not a Rate above 0 for any of Q4_0, Q8_0, K, float"):
        choose({"odd": odd}, "odd")
