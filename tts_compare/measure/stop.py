"""How a run is interrupted from another thread: no signal reaches it there."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Stop:
    """A request to interrupt a run, made from any thread, at once or before the run has begun."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requested = False
        self._interrupt: Callable[[], object] | None = None

    def request(self) -> None:
        """Interrupt the run as Ctrl-C would: what was done is written down, and can be resumed."""
        with self._lock:
            self._requested = True
            if self._interrupt is not None:
                self._interrupt()

    def bind(self, interrupt: Callable[[], object] | None) -> None:
        """Say what interrupts the run; None once it can no longer be interrupted."""
        with self._lock:
            self._interrupt = interrupt
            if self._requested and interrupt is not None:
                interrupt()
