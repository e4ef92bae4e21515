"""Backends: the contract of what runs graphs."""

from ollamax.backend.base import Backend, BackendOptions, Program, Weight
from ollamax.backend.device import Device, Probe, Rate, Rates
from ollamax.backend.states import State, States
from ollamax.backend.stored import StoredWeights

__all__ = [
    "Backend",
    "BackendOptions",
    "Device",
    "Probe",
    "Program",
    "Rate",
    "Rates",
    "State",
    "States",
    "StoredWeights",
    "Weight",
]
