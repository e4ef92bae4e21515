"""What a backend says of the hardware that it can use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ollamax.types import DType

GROUPS: Mapping[str, frozenset[DType]] = {
    "Q4_0": frozenset({DType.Q4_0}),
    "Q8_0": frozenset({DType.Q8_0}),
    "K": frozenset({DType.Q2_K, DType.Q3_K, DType.Q4_K, DType.Q5_K, DType.Q6_K}),
    "float": frozenset({DType.F32, DType.F16, DType.BF16}),
}
"""Types of weights that a backend multiplies with by similar kernels; all others are in no group."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Tokens per second of a prompt and of decoding, and how soon a new process gives its first token.

    All are shares of llama.cpp's on the same processor: 0.5 is half as many tokens per second, or twice the time.
    """

    prompt: float
    decode: float
    start: float = 1.0


@dataclass(frozen=True, slots=True)
class Rates:
    """What was measured of a device: a rate by group of weight types (``GROUPS``), and ``measured``: where and how.

    llama.cpp with two threads, an F16 cache and flash attention is 1; ``benchmarks/backends.py`` of the repository
    measures any backend beside it. A group that was not measured counts as the slowest of those that were.
    """

    groups: Mapping[str, Rate]
    measured: str


@dataclass(frozen=True, slots=True)
class Device:
    """Hardware that a backend can use: ``memory`` in bytes if known.

    The ``auto`` choice takes the highest ``rank``, and goes by ``rates`` among devices that have them
    (``ranking.py``). It takes no device that is ``only_by_name``, which gives the reason. ``advice`` says what would
    make the device faster, with the command; ``ollamax list-plugins`` shows it.
    """

    name: str
    kind: str
    memory: int | None = None
    rank: float = 0.0
    rates: Rates | None = None
    only_by_name: str | None = None
    advice: str = ""

    def is_called(self, name: str) -> bool:
        """Whether ``name`` means this device; upper and lower case are the same."""
        return self.name.casefold() == name.casefold()


@dataclass(frozen=True, slots=True)
class Probe:
    """The devices that a backend found, or the reason why it cannot run here.

    ``wrong_setting`` says that the reason is a setting of the user's, such as an environment variable, that cannot be
    honoured: ``auto`` then raises it, and takes no other backend instead.
    """

    devices: tuple[Device, ...] = ()
    reason: str | None = None
    wrong_setting: bool = False
