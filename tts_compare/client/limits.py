"""How long one attempt may take, and the instants it gathers on its way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLimits:
    """The four time limits of an attempt, in seconds; each has its own error kind.

    connect_s: until the connection (TLS included) stands. first_byte_s: from sending to the first byte of the
    answer. idle_s: between two reads of the answer. total_s: from sending to the end of the answer.
    """

    connect_s: float = 10.0
    first_byte_s: float = 600.0
    idle_s: float = 300.0
    total_s: float = 3600.0


@dataclass(slots=True, kw_only=True)
class Stamps:
    """The instants of one attempt, filled in while it runs (``time.monotonic_ns()``; None: not reached).

    ``connect_ns`` stays None on a reused connection; ``sent_ns`` is taken just before the first byte of the
    request is written to an established connection. ``on_arrival`` says that reads were stamped as the kernel
    delivered them, not above another library's layers.
    """

    connect_ns: int | None = None
    sent_ns: int | None = None
    first_byte_ns: int | None = None
    end_ns: int | None = None
    on_arrival: bool = False
    on_answer: Callable[[], None] | None = None
    """Is called once, after the first piece of the answer's body was stamped."""

    def begun(self) -> None:
        """Tell that the answer has begun, the first time."""
        tell, self.on_answer = self.on_answer, None
        if tell is not None:
            tell()
