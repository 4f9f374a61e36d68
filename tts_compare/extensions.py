"""Parts of ours and of other packages under one name each: a mapping that loads the others only when asked.

Another package registers a part by an entry point of the mapping's group:

    [project.entry-points."tts_compare.backends"]
    mine = "my_package:Mine"
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Extensions(Mapping[str, T], Generic[T]):
    """Our own parts first, then those of other packages by name.

    group: the entry-point group. own: our parts, which no other package can replace. A value that is a class is
    called without arguments. An entry point that cannot be loaded is not among the keys; ``failures`` says why.

    >>> Extensions("tts_compare.examples", {"one": 1})["one"]
    1
    """

    def __init__(self, group: str, own: Mapping[str, T]) -> None:
        self.group = group
        self._own = dict(own)
        self._points: dict[str, EntryPoint] | None = None
        self._loaded: dict[str, T] = {}
        self._failed: dict[str, str] = {}

    def __getitem__(self, name: str) -> T:
        """Return a part; those of other packages are looked for only where we have none of that name."""
        if name in self._own:
            return self._own[name]
        if name not in self._loaded:
            self._load(name)
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        """Names of all parts that can be used."""
        yield from self._own
        for name in self._others():
            if name not in self._own and self._load(name):
                yield name

    def __len__(self) -> int:
        """How many parts can be used."""
        return sum(1 for _ in self)

    def failures(self) -> dict[str, str]:
        """Why parts of other packages cannot be used, one line each, by ``PACKAGE: NAME``."""
        for name in self._others():
            self._load(name)
        return dict(self._failed)

    def _others(self) -> dict[str, EntryPoint]:
        if self._points is None:
            self._points = {point.name: point for point in entry_points(group=self.group)}
        return self._points

    def _load(self, name: str) -> bool:
        """Whether there is such a part of another package and it can be used; it is loaded once."""
        point = self._others().get(name)
        if point is None or name in self._loaded:
            return name in self._loaded
        key = f"{point.dist.name if point.dist else 'a package'}: {name}"
        if key in self._failed:
            return False
        try:
            part: T = _part(point)
            if name in self._own:
                raise ValueError("the name is taken by tts-compare itself")
            if (own := getattr(part, "name", name)) != name:
                raise ValueError(f"it calls itself {own!r}")
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever another package raises
            self._failed[key] = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            return False
        self._loaded[name] = part
        return True


def _part(point: EntryPoint) -> Any:
    found = point.load()
    return found() if isinstance(found, type) else found
