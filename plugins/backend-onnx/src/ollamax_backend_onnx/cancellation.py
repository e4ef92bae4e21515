"""Runs that can be ended: by Ctrl-C, or by another thread."""

from __future__ import annotations

from typing import Any

from ollamax.backend.interruption import Interruption
from ollamax.errors import BackendError
from ollamax_backend_onnx.runtime import runtime


class Runs:
    """Runs sessions one at a time."""

    def __init__(self) -> None:
        self._options = runtime().RunOptions()
        self._options.add_run_config_entry("gpu_graph_id", "0")  # the default; asking for what is not set raises
        self._interruption = Interruption(self.cancel)

    def run(self, session: Any, binding: Any) -> None:
        """Run; raises BackendError when it is cancelled, and what the runtime raises."""
        done = False
        while not done:  # a signal ended it, whose handler went on: what it wrote is written again
            done = self._run(session, binding)

    def cancel(self) -> None:
        """End the computation that runs in another thread, or else the next one."""
        self._options.terminate = True

    def close(self) -> None:
        """Release the thread that waits for signals."""
        self._interruption.close()

    def _run(self, session: Any, binding: Any) -> bool:
        options = self._options
        if self._interruption.take():
            options.terminate = False
        try:
            with self._interruption:
                session.run_with_iobinding(binding, options)
        except Exception:
            if not options.terminate:
                raise
            if self._interruption.take():
                return False
            raise BackendError("backend onnx: the computation was cancelled") from None
        finally:
            options.terminate = False
        return True
