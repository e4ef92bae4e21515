"""Backends: the contract of what runs graphs."""

from ollamax.backend.base import Backend, BackendOptions, Device, Probe, Program, Weight
from ollamax.backend.states import State, States
from ollamax.backend.stored import StoredWeights

__all__ = [
    "Backend",
    "BackendOptions",
    "Device",
    "Probe",
    "Program",
    "State",
    "States",
    "StoredWeights",
    "Weight",
]
