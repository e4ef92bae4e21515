"""One conversation in one slot: the tokens that its cache holds."""

from __future__ import annotations

from collections.abc import Sequence as Tokens

from ollamax.engine.picture import Shown
from ollamax.engine.runner import Logits, Runner
from ollamax.errors import ContextFullError, UsageError


class Sequence:
    """The tokens of a slot, in step with its cache.

    After a slide the cache is no longer what the tokens alone would give, so nothing of it is reused. ``turn`` counts
    up when tokens are forgotten: whoever was extending the sequence before has lost it.
    """

    def __init__(self, runner: Runner, slot: int = 0) -> None:
        self._runner, self._slot = runner, slot
        self._tokens: list[int] = []
        self._digests: tuple[bytes, ...] = ()
        self._slid = False
        self.turn = 0

    def __len__(self) -> int:
        return len(self._tokens)

    @property
    def capacity(self) -> int:
        """How many tokens the slot holds at most."""
        return self._runner.capacity

    @property
    def longest_step(self) -> int:
        """How many tokens a step computes at most."""
        return self._runner.longest_step

    @property
    def tokens(self) -> Tokens[int]:
        """The tokens that the slot holds."""
        return self._tokens

    def check_turn(self, turn: int | None) -> None:
        """Raise UsageError where the sequence has another turn than its caller's, or the model was closed."""
        if self.turn != turn:
            raise UsageError(
                "another call used this model meanwhile, so this answer cannot go on; finish one before the next"
            )
        self._runner.check_open()

    def rewind(self, prompt: Tokens[int], pictures: Tokens[Shown] = ()) -> int:
        """Keep only what the slot shares with the start of ``prompt``; returns how many tokens that is.

        The prompt's last token is never kept: its logits are wanted. With other pictures nothing is kept, since even
        tokens before a picture may depend on it; less is kept where a window has forgotten what comes before the cut.
        """
        digests = tuple(shown.digest for shown in pictures)
        same = digests == self._digests and not self._slid
        self.clear(min(_common(self._tokens, prompt), len(prompt) - 1) if same else 0)
        self._digests = digests
        self._runner.show(self._slot, pictures)
        return len(self._tokens)

    def extend(self, tokens: Tokens[int], every: bool = False) -> Logits:
        """Append tokens; logits of the last one ``(1, n_vocab)``, or of all if ``every``."""
        try:
            logits = self._runner.prefill(self._slot, tokens, every)
        except ContextFullError:
            raise
        except BaseException:
            self.clear()
            raise
        self._tokens += tokens
        return logits

    def take_back(self, count: int) -> list[int]:
        """Remove the last ``count`` tokens, whose turn it still is; returns those before them that a window lost too.

        Those must be computed again. There are none where the tokens came in one step.
        """
        length = len(self._tokens) - count
        del self._tokens[length:]
        left = self._runner.truncate(self._slot, length)
        lost = self._tokens[left:]
        del self._tokens[left:]
        return lost

    def slide(self, keep: int) -> None:
        """Drop half of the tokens after the first ``keep``, at least one.

        Where a window reaches back to those and has forgotten them, what it leaves unusable is computed again.
        """
        discard = max(1, (len(self._tokens) - keep) // 2)
        self._slid = True  # first, for a slide that is interrupted leaves nothing to be reused
        left = self._runner.slide(self._slot, keep, discard)
        del self._tokens[keep : keep + discard]
        again = self._tokens[left:]
        del self._tokens[left:]
        self._slid = left > 0
        if again:
            self.extend(again)

    def clear(self, length: int = 0) -> None:
        """Forget everything after the first ``length`` tokens, and more where a window has forgotten already."""
        self.turn += 1
        del self._tokens[length:]
        left = self._runner.truncate(self._slot, length)
        del self._tokens[left:]
        self._slid = self._slid and left > 0


def _common(a: Tokens[int], b: Tokens[int]) -> int:
    count = 0
    for one, other in zip(a, b, strict=False):
        if one != other:
            break
        count += 1
    return count
