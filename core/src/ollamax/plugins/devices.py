"""The rows of ``ollamax list-plugins --devices``: what backends can use, and in which order ``auto`` takes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from ollamax.backend.device import GROUPS, Device, Probe
from ollamax.backend.ranking import SMALL, rank, safe_probe

if TYPE_CHECKING:
    from ollamax.backend.base import Backend

SMALL_MODEL = "small"
"""The place for models that are too small for rates to matter."""


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """A device of a backend, or with an empty ``device`` a backend that cannot run here, and ``why``.

    ``rates`` has those of a prompt, of decoding and of a start by group of weight types, as shares of llama.cpp's.
    ``places``, from 1 on, has one for each group, for models of such weights alone, and one for small models; none if
    ``auto`` never takes the device.
    """

    backend: str
    device: str
    kind: str
    memory: int | None
    rates: dict[str, dict[str, float]]
    places: dict[str, int]
    why: str


def device_rows(backends: Mapping[str, type[Backend]]) -> list[DeviceRow]:
    """One row for each device, in the order of ``auto`` where types of weights count alike, and then all others."""
    probes = {name: safe_probe(backend) for name, backend in sorted(backends.items())}
    models = {group: {min(types): SMALL} for group, types in GROUPS.items()} | {SMALL_MODEL: {}}
    orders = {
        model: [(place.backend, place.device.name) for place in rank(probes, stored)]
        for model, stored in models.items()
    }
    overall = [(place.backend, place.device) for place in rank(probes)]
    others = [(name, device) for name, probe in probes.items() for device in probe.devices if device.only_by_name]
    rows = []
    for name, device in overall + others:
        key = (name, device.name)
        places = {model: order.index(key) + 1 for model, order in orders.items() if key in order}
        rows.append(_row(name, device, places))
    return rows + [_absent(name, probe) for name, probe in probes.items() if not probe.devices]


def _row(name: str, device: Device, places: dict[str, int]) -> DeviceRow:
    groups = device.rates.groups if device.rates else {}
    rates = {group: asdict(rate) for group, rate in groups.items()}
    if device.only_by_name:
        why = f"never taken by auto: {device.only_by_name}"
    elif device.rates:
        why = f"rank {device.rank:g} and measured: {device.rates.measured}"
    else:
        why = f"rank {device.rank:g}; not measured"
    why += f"; {device.advice}" if device.advice else ""
    return DeviceRow(name, device.name, device.kind, device.memory, rates, places, why)


def _absent(name: str, probe: Probe) -> DeviceRow:
    stops = "; auto is an error until this is set right" if probe.wrong_setting else ""
    return DeviceRow(name, "", "", None, {}, {}, f"cannot run here: {probe.reason or 'it found no device'}{stops}")
