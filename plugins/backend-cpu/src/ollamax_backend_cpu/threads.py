"""The threads of NumPy's BLAS: one pool per process, which all loaded models share."""

from __future__ import annotations

from typing import Any


class Threads:
    """Gives each loaded model the number of threads that it wants, and the pool its own number when none is left."""

    def __init__(self) -> None:
        self._loaded = 0
        self._now: int | None = None
        self._controller: Any = None
        self._own: Any = None

    def join(self) -> None:
        """A model is loaded."""
        if not self._loaded:
            from threadpoolctl import ThreadpoolController

            self._controller = ThreadpoolController()
            self._own = self._controller.limit(limits=None, user_api="blas")
        self._loaded += 1

    def leave(self) -> None:
        """A model that joined is closed."""
        self._loaded -= 1
        if not self._loaded:
            self.use(None)
            self._controller = self._own = None

    def use(self, count: int | None) -> None:
        """Go on with ``count`` threads, or with the pool's own number; cheap where nothing changes."""
        if count == self._now or self._controller is None:
            return
        if count is None:
            self._own.restore_original_limits()
        else:
            self._controller.limit(limits=count, user_api="blas")
        self._now = count


BLAS = Threads()
"""That of this process."""
