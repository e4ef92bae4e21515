"""What a generation yields: pieces of text, and with the last one why it ended and what it cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DoneReason = Literal["stop", "length", "load", "cancelled"]


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts and wall-clock times (seconds) of one generation, named as in Ollama's ``--verbose``.

    ``load_seconds`` is the time to load the model, 0 if it was loaded before. ``prompt_tokens`` are those
    computed, without tokens that a kept context already held. ``eval_steps`` are the runs of the model for the answer's
    tokens: one less than those, since the prompt gives the first, and fewer where ``accepted_tokens`` of the
    ``drafted_tokens`` are part of the answer (``draft_num_predict``). ``total_seconds`` spans everything.
    """

    total_seconds: float = 0.0
    load_seconds: float = 0.0
    prompt_tokens: int = 0
    prompt_seconds: float = 0.0
    eval_tokens: int = 0
    eval_seconds: float = 0.0
    eval_steps: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0

    @property
    def prompt_rate(self) -> float:
        """Prompt tokens per second; 0 when nothing was measured."""
        return self.prompt_tokens / self.prompt_seconds if self.prompt_seconds > 0 else 0.0

    @property
    def eval_rate(self) -> float:
        """Generated tokens per second; 0 when nothing was measured."""
        return self.eval_tokens / self.eval_seconds if self.eval_seconds > 0 else 0.0

    @property
    def step_rate(self) -> float:
        """Runs of the model per second of the answer; 0 when nothing was measured."""
        return self.eval_steps / self.eval_seconds if self.eval_seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of an answer.

    ``text`` may be empty (a character or a stop text is still incomplete). ``token`` is the id that was
    drawn; None where text is only flushed. The last chunk has ``done`` set, with ``done_reason``: "stop"
    (end token or stop text), "length" (num_predict reached, or the context is full), "load" (nothing to
    generate) or "cancelled"; and ``stats``. ``notice`` is something that the user should know, such as
    messages that were left out.
    """

    text: str
    token: int | None = None
    done: bool = False
    done_reason: DoneReason | None = None
    notice: str | None = None
    stats: Stats | None = None
