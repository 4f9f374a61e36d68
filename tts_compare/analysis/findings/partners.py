"""Which setting of one run stands against which of another."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping

from tts_compare.domain import model_slug
from tts_compare.errors import UsageError
from tts_compare.rundir.facts import SettingFacts

_VERSION = re.compile(r"==[^/]*")
_BETWEEN = re.compile(r"(?<!=)=(?!=)")

Facts = Mapping[str, SettingFacts]


def find_partners(a: Facts, b: Facts, *, mapped: Mapping[str, str] | None = None) -> dict[str, str]:
    """Setting id of b -> that of a. a, b: setting id -> its facts in the manifest, of settings with requests.

    In this order: ``mapped`` (a's id -> b's), equal ids, ids that are equal without the engine's version and name one
    setting a side (an upgrade, or a side that states no version), and one setting a side that is left, of equal
    models: another model is another question, unless it is mapped. A mapped name is an id or a part of one id alone.
    Raises UsageError where a mapped name is not there.
    """
    found = {_named(new, b, "second"): _named(old, a, "first") for old, new in (mapped or {}).items()}
    if len(found) < len(mapped or {}) or len(set(found.values())) < len(found):
        raise UsageError("--map: a setting can have one partner only")

    def left() -> tuple[list[str], list[str]]:
        taken = set(found.values())
        return [old for old in a if old not in taken], [new for new in b if new not in found]

    for name in (_itself, _without_version):
        found |= _by_name(*left(), name)
    olds, news = left()
    if len(a) == len(b) == 1 and olds and _equal_models(a[olds[0]], b[news[0]]):
        found[news[0]] = olds[0]
    return found


def _named(name: str, known: Collection[str], side: str) -> str:
    """The setting of that id, or the only one whose id holds the name."""
    if name in known:
        return name
    holding = [setting for setting in known if name in setting]
    if len(holding) == 1:
        return holding[0]
    what = "names several settings" if holding else "is no setting"
    raise UsageError(f"--map: {name!r} {what} of the {side} run; it has {', '.join(sorted(holding or known))}")


def parse_map(text: str) -> tuple[str, str]:
    """``A=B`` of ``--map``; the ``==`` of a version is no such sign. Raises UsageError for any other form."""
    parts = _BETWEEN.split(text)
    if len(parts) != 2 or not all(part.strip() for part in parts):
        raise UsageError(f"--map {text!r} is not like SETTING_OF_A=SETTING_OF_B")
    return parts[0].strip(), parts[1].strip()


def _itself(setting: str) -> str:
    return setting


def _without_version(setting: str) -> str:
    return _VERSION.sub("", setting, count=1)


def _by_name(olds: Collection[str], news: Collection[str], name: Callable[[str], str]) -> dict[str, str]:
    """Settings whose names are equal and each unique on its side."""
    named_a, named_b = ({own: [x for x in side if name(x) == own] for own in map(name, side)} for side in (olds, news))
    return {
        named_b[own][0]: named_a[own][0] for own in named_a if len(named_a[own]) == 1 and len(named_b.get(own, ())) == 1
    }


def _equal_models(a: SettingFacts, b: SettingFacts) -> bool:
    names = [model_slug(facts.model) for facts in (a, b) if facts.model]
    return len(names) == 2 and names[0] == names[1]
