"""Short names for settings: what differs between them is said, what they share is said once."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urlsplit

from tts_compare.analysis.rows.attempts import is_hosted
from tts_compare.errors import UsageError
from tts_compare.reports.plain import one_line
from tts_compare.rundir.facts import SettingFacts

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


def label_settings(
    settings: Sequence[str],
    facts: Mapping[str, SettingFacts] = MappingProxyType({}),
    names: Mapping[str, str] = MappingProxyType({}),
) -> Labels:
    """Keep the parts in which the settings differ, and the engine; ids of another form stay whole.

    facts: of the manifest, by setting. What an id holds as a hash is said in words of them: the endpoint's host, the
    dtype, the engine's flags. names: setting id, or a part of one id alone, -> the label to use. Raises UsageError
    where a name is of no setting, or of several.
    """
    distinct = sorted(set(settings))
    split = {setting: split_setting(setting) for setting in distinct}
    # What nobody knows of an endpoint's inside is in no label and in nothing that is shared.
    known = [parts for name, parts in split.items() if parts is not None and not _hosted(facts.get(name))]
    known = known or [parts for parts in split.values() if parts is not None]
    varies = {field: len({parts[field] for parts in split.values() if parts is not None}) > 1 for field in _FIELDS}
    varies |= {field: len({parts[field] for parts in known}) > 1 for field in ("tp", "pp", "dp", "speculation")}
    kept = [field for field in _FIELDS[:-1] if varies[field] or field == "engine"]
    of = {setting: _label(setting, parts, kept, facts.get(setting)) for setting, parts in split.items()}
    of |= {setting: f"{of[setting]} {_rest(split[setting], facts.get(setting))}".rstrip() for setting in _alike(of)}
    of |= {setting: f"{of[setting]} #{n}" for n, setting in enumerate(_alike(of), start=1)}
    of |= _given(names, distinct)
    if len(set(of.values())) < len(of):
        of = {setting: setting for setting in distinct}
    shared = [_said(field, known[0][field]) for field in _FIELDS[:-1] if known and field not in kept]
    return Labels(of=of, shared=", ".join(word for word in shared if word not in ("", "pp1", "dp1")))


def _hosted(facts: SettingFacts | None) -> bool:
    return facts is not None and is_hosted(facts)


def _label(setting: str, parts: Mapping[str, str] | None, kept: Sequence[str], facts: SettingFacts | None) -> str:
    if parts is None:
        return setting
    inside = {"tp", "pp", "dp", "speculation"} if _hosted(facts) else set()
    words = [parts[field] for field in kept if field not in inside]
    return " ".join(word for word in words if word) + (" (hosted)" if _hosted(facts) else "")


def _alike(of: Mapping[str, str]) -> list[str]:
    """Settings whose label another has too."""
    labels = list(of.values())
    return [setting for setting, label in of.items() if labels.count(label) > 1]


def _rest(parts: Mapping[str, str] | None, facts: SettingFacts | None) -> str:
    """What the hash at an id's end stands for, in words; the hash where the manifest does not say."""
    if facts is None or parts is None or not parts["rest"]:
        return parts["rest"] if parts else ""
    copy = f"+{facts.replica}" if facts.replica else ""
    said = [
        urlsplit(facts.base_url).netloc if facts.base_url and _hosted(facts) else "",
        facts.dtype if facts.dtype != "auto" else "",
        f"rev {facts.revision[:7]}" if facts.revision else "",
        one_line(" ".join(facts.engine_args), 32),
    ]
    return " ".join(word for word in said if word) + copy


def _given(names: Mapping[str, str], settings: Sequence[str]) -> dict[str, str]:
    found = {}
    for name, label in names.items():
        holding = [name] if name in settings else [setting for setting in settings if name in setting]
        if len(holding) != 1:
            what = "several settings" if holding else "no setting"
            raise UsageError(f"--name {name}={label}: {what} of this name; there are {', '.join(settings)}")
        found[holding[0]] = label
    return found


def shorten(text: str, labels: Labels) -> str:
    """Setting ids inside a sentence replaced by their labels, the longest first; safe to show, on one line."""
    text = labels.replace_ids(text)
    if labels.method:
        text = text.replace(f" {labels.method}@", " ")
    return one_line(text, 400)


def _said(field: str, word: str) -> str:
    return "no speculation" if field == "speculation" and word == "none" else word
