"""Architectures: the contract of a model, its binding to a file, and its tracing."""

from ollamax.arch.base import Architecture, Batch, Picture, VisionArchitecture

__all__ = ["Architecture", "Batch", "Picture", "VisionArchitecture"]
