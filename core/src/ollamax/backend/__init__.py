"""Backends: the contract of what runs graphs."""

from ollamax.backend.base import Backend, BackendOptions, Device, Probe, Program, Weight

__all__ = ["Backend", "BackendOptions", "Device", "Probe", "Program", "Weight"]
