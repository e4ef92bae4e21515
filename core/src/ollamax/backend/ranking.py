"""Which backend ``auto`` takes, and why.

Devices whose backends were measured (``Device.rates``) are compared by the time that a model's weights would take; the
group of them stands where the highest of their ranks does. All others stand by their rank alone, as does everything
for a model of less than 64 MiB, which is smaller than any that was measured: starting counts for more than rates there.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import astuple, dataclass, fields
from typing import TYPE_CHECKING

from ollamax.backend.device import GROUPS, Device, Probe, Rate, Rates
from ollamax.errors import BackendError

if TYPE_CHECKING:
    from ollamax.backend.base import Backend
    from ollamax.types import DType

PROMPT_SHARE = 0.4
"""Of the time of an answer, what llama.cpp spends on its prompt: 0.42 to 0.45 for 512 tokens and 128 of answer
(docs/performance.md), and less in a chat, whose earlier turns are held."""

START_SHARE = 0.07
"""Of the time of a load and one such answer, what llama.cpp takes to start: 0.07 with a 1B Q8_0
(docs/performance.md)."""

SMALL = 64 << 20
"""Bytes of weights below which rates, measured with models of 500 MB and more, say nothing."""

Stored = Mapping["DType", int]
"""Bytes of a model's weights by type."""


@dataclass(frozen=True, slots=True)
class Place:
    """A device of a backend in the order in which ``auto`` takes them; ``speed`` is 1 for llama.cpp's, if known."""

    backend: str
    device: Device
    speed: float | None


def checked_probe(backend: type[Backend], *, whole: bool = True) -> Probe:
    """The backend's probe, which may raise; BackendError where it is no Probe, or its devices are no devices.

    ``whole`` looks at the rest of what it needs too (``Backend.check_installation``).
    """
    probe: object = backend.probe()
    if not isinstance(probe, Probe):
        raise BackendError(f"probe() returned {type(probe).__name__} where a Probe is expected")
    devices: object = probe.devices
    if not (isinstance(devices, tuple) and all(map(_is_device, devices))):
        raise BackendError("probe() named devices that are no Device with a number for its rank")
    for device in probe.devices:
        if device.rates is not None and not _are_rates(device.rates):
            known = ", ".join(GROUPS)
            raise BackendError(f"probe() gave rates of {device.name} that are not a Rate above 0 for any of {known}")
    if whole and devices:
        backend.check_installation()
    return probe


def _is_device(item: object) -> bool:
    rank: object = item.rank if isinstance(item, Device) else None
    return isinstance(rank, int | float)


def _are_rates(rates: object) -> bool:
    groups: object = rates.groups if isinstance(rates, Rates) else None
    if not isinstance(groups, Mapping) or not groups or not groups.keys() <= GROUPS.keys():
        return False
    numbers = [number for rate in groups.values() if isinstance(rate, Rate) for number in astuple(rate)]
    known = [isinstance(number, int | float) and 0 < number < math.inf for number in numbers]
    return all(known) and len(known) == len(fields(Rate)) * len(groups)


def safe_probe(backend: type[Backend], *, whole: bool = True) -> Probe:
    """As ``checked_probe``; one that raises, which it must not, counts as a reason why it cannot run."""
    try:
        with redirect_stdout(sys.stderr):  # standard output is for the model's answer
            return checked_probe(backend, whole=whole)
    except KeyboardInterrupt:
        raise
    except BackendError as error:
        return Probe(reason=str(error))
    except BaseException as error:  # a plugin's fault, SystemExit too, must not keep the others from running
        return Probe(reason=f"probe() raised {type(error).__name__}: {error}")


def speed(rates: Rates, stored: Stored) -> float:
    """How fast weights ``stored`` would be computed with, as a share of llama.cpp: each type by its share of bytes."""
    slowest = min(map(_speed, rates.groups.values()))
    time = weighed = 0.0
    for dtype, size in stored.items():
        group = next((name for name, types in GROUPS.items() if dtype in types), "")
        time += size / (_speed(rates.groups[group]) if group in rates.groups else slowest)
        weighed += size
    return weighed / time if time else slowest


def _speed(rate: Rate) -> float:
    answer = PROMPT_SHARE / rate.prompt + (1 - PROMPT_SHARE) / rate.decode
    return 1 / (START_SHARE / rate.start + (1 - START_SHARE) * answer)


def rank(probes: Mapping[str, Probe], stored: Stored | None = None) -> list[Place]:
    """The devices that ``auto`` would take, the best first, for weights ``stored``; None is all groups in equal parts.

    Of equal ones the backend with the first name comes first, and of one backend the device that it named first.
    """
    if stored is None:
        stored = dict.fromkeys((next(iter(sorted(types))) for types in GROUPS.values()), SMALL)
    known = sum(stored.values()) >= SMALL
    found = [
        Place(name, device, speed(device.rates, stored) if known and device.rates else None)
        for name, probe in sorted(probes.items())
        for device in probe.devices
        if device.only_by_name is None
    ]
    highest = max((place.device.rank for place in found if place.speed is not None), default=0.0)
    return sorted(
        found,
        key=lambda place: (place.device.rank, 0.0) if place.speed is None else (highest, place.speed),
        reverse=True,
    )


def choose(
    backends: Mapping[str, type[Backend]], name: str = "auto", stored: Stored | None = None, device: str | None = None
) -> type[Backend]:
    """One of ``backends`` (at least one): the one called ``name``, or for ``auto`` the fastest for weights ``stored``.

    ``device`` keeps ``auto`` to backends with a device of that name. Raises BackendError when the named backend cannot
    run here; ``auto`` fails only if none can, or a setting is wrong.
    """
    if name != "auto":
        probe = safe_probe(backends[name])
        if not probe.devices:
            raise BackendError(f"backend {name} cannot run here: {probe.reason or 'it found no device'}")
        return backends[name]
    probes = {key: safe_probe(backend, whole=False) for key, backend in sorted(backends.items())}
    for key, probe in probes.items():
        if probe.wrong_setting:
            raise BackendError(f"backend {key} cannot run here: {probe.reason}")
    while places := rank(probes, stored):
        best = next((place.backend for place in places if not device or place.device.is_called(device)), None)
        if best is None:
            known = ", ".join(f"{place.device.name} ({place.backend})" for place in places)
            raise BackendError(f"no backend that auto takes has a device {device!r:.40}; there are: {known}")
        found = safe_probe(backends[best])
        if found.devices:
            return backends[best]
        probes[best] = found
    reasons = "; ".join(f"{key}: {_reason(key, probe)}" for key, probe in probes.items())
    raise BackendError(f"no installed backend can run here ({reasons}); try: pip install ollamax-backend-cpu")


def _reason(name: str, probe: Probe) -> str:
    told = [f"{device.only_by_name} (--backend {name} takes it)" for device in probe.devices if device.only_by_name]
    return "; ".join(told) or probe.reason or "no device"
