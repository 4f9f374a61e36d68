"""Keeps the client off the processors that servers on its own node were given."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(slots=True)
class ClientCores:
    """allowed: what the client may run on by itself, read when the first server is noted. taken: by server."""

    allowed: frozenset[int] = frozenset()
    taken: dict[int, frozenset[int]] = field(default_factory=dict)

    def take(self, server: int, cores: Iterable[int]) -> bool:
        """Leave these processors to a server, by any number of its own; whether any are left to the client.

        Where none would be left, as where Slurm binds nothing, the client stays where it is.
        """
        if not self.taken:
            self.allowed = frozenset(os.sched_getaffinity(0))
        self.taken[server] = frozenset(cores)
        return self._apply()

    def give_back(self, server: int) -> None:
        """The server is gone."""
        if self.taken.pop(server, None) is not None:
            self._apply()

    def _apply(self) -> bool:
        free = self.allowed - frozenset().union(*self.taken.values())
        os.sched_setaffinity(0, free or self.allowed)
        return bool(free)
