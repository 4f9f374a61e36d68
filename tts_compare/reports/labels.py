"""Short names for settings: what differs between them is said, what they share is said once."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tts_compare.reports.plain import one_line

_SHAPE = re.compile(r"tp(\d+)-pp(\d+)-dp(\d+)")
_FIELDS = ("engine", "model", "tp", "pp", "dp", "speculation", "rest")


@dataclass(frozen=True, kw_only=True)  # no slots: a cached property needs a place
class Labels:
    """``of``: setting id -> short label, unique; ``shared``: what every setting has in common, for one line above.

    method: the method of every point, empty where there are several; sentences then need not repeat it.
    """

    of: Mapping[str, str]
    shared: str
    method: str = ""

    def name(self, setting: str) -> str:
        """The label of one setting, safe to show."""
        return one_line(self.of.get(setting, setting), 80)

    @functools.cached_property
    def _any_setting(self) -> re.Pattern[str] | None:
        """The longest first, so that no id is cut out of a longer one."""
        ids = sorted(self.of, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, ids))) if ids else None

    def replace_ids(self, text: str) -> str:
        """Every setting id in a text by its label."""
        pattern = self._any_setting
        return text if pattern is None else pattern.sub(lambda match: self.of[match[0]], text)


def split_setting(setting: str) -> dict[str, str] | None:
    """The parts of ``<engine>/<model>/tp1-pp1-dp1/<speculation>[/<rest>]``; None where an id is of another form."""
    parts = setting.split("/")
    shape = _SHAPE.fullmatch(parts[2]) if len(parts) in (4, 5) else None
    if shape is None:
        return None
    return {
        "engine": parts[0],
        "model": parts[1],
        "tp": f"tp{shape[1]}",
        "pp": f"pp{shape[2]}",
        "dp": f"dp{shape[3]}",
        "speculation": parts[3],
        "rest": parts[4] if len(parts) == 5 else "",
    }


def label_settings(settings: Sequence[str]) -> Labels:
    """Keep the parts in which the settings differ, and the engine; ids of another form stay whole."""
    distinct = sorted(set(settings))
    split = {setting: split_setting(setting) for setting in distinct}
    known = [parts for parts in split.values() if parts is not None]
    varies = {field: len({parts[field] for parts in known}) > 1 for field in _FIELDS}
    kept = [field for field in _FIELDS if varies[field] or field == "engine"]
    of = {}
    for setting, parts in split.items():
        words = [setting] if parts is None else [parts[field] for field in kept]
        of[setting] = " ".join(word for word in words if word)
    if len(set(of.values())) < len(of):
        of = {setting: setting for setting in distinct}
    shared = [_said(field, known[0][field]) for field in _FIELDS if known and field not in kept]
    return Labels(of=of, shared=", ".join(word for word in shared if word not in ("", "pp1", "dp1")))


def shorten(text: str, labels: Labels) -> str:
    """Setting ids inside a sentence replaced by their labels, the longest first; safe to show, on one line."""
    text = labels.replace_ids(text)
    if labels.method:
        text = text.replace(f" {labels.method}@", " ")
    return one_line(text, 400)


def _said(field: str, word: str) -> str:
    return "no speculation" if field == "speculation" and word == "none" else word
