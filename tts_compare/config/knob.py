"""A knob: one thing a user can ask for, declared on the field that holds it.

From the declaration come the TOML key and what reads it, the flag, its help, its completion and its row in
docs/configuration.md. A new knob is one field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass, replace
from typing import Any, Literal, TypeVar, overload

from tts_compare.config.values import Parse, flag

T = TypeVar("T")

#: What a knob acts on: ``axis`` a list whose product makes settings; ``setting`` every server we start; ``hosted`` an
#: endpoint of the engine ``openai``; ``work`` the requests; ``judging`` grades and costs; ``run`` how the run goes;
#: ``invocation`` this command alone, so that ``--resume`` does not repeat it; ``limit`` one bound on waiting.
Scope = Literal["axis", "setting", "hosted", "work", "judging", "run", "invocation", "limit"]

#: The group of ``--help`` that each scope stands in; a ``limit`` is a key of a table and has no flag.
GROUPS: dict[Scope, str] = {
    "axis": "what is compared",
    "setting": "what is compared",
    "work": "work",
    "judging": "grading and money",
    "hosted": "where and how",
    "run": "where and how",
    "invocation": "where and how",
}

#: Names that the declaration does not list, but the part of the program that has them.
Source = Literal["backends", "methods", "datasets", "prompts", "launchers"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Knob:
    """The declaration of one knob."""

    #: Reads a value, as TOML or a flag states it; raises BadValueError.
    parse: Parse[Any]
    #: What the knob acts on.
    scope: Scope
    #: What it means, in a few words; code in backticks, which the terminal does not show. ``{names}`` in it stands for
    #: the names of ``offers``.
    help: str
    #: What only the documentation adds to ``help``.
    more: str = ""
    #: The TOML key; the field's name where empty. The flag is the key with dashes.
    key: str = ""
    #: Further TOML keys that mean the same.
    synonyms: tuple[str, ...] = ()
    #: Whether there is a flag; else the knob is for TOML and the Python API alone.
    flag: bool = True
    #: Further flags that mean the same, with their dashes.
    aliases: tuple[str, ...] = ()
    #: What stands for the value in ``--help``; ``FILE`` and ``DIR`` in it make a shell complete paths.
    metavar: str = "X"
    #: The values that are possible, where no other is.
    choices: tuple[str, ...] = ()
    #: Values that completion offers, or where they are looked up; others are possible.
    offers: tuple[str, ...] | Source = ()
    #: Values that are written ``--flag=VALUE`` and what each means; the flag alone means the first.
    levels: Mapping[str, str] = field(default_factory=dict)
    #: Whether the flag may be given several times.
    repeatable: bool = False
    #: Whether a flag adds to the file's table, name by name, where other knobs replace the value.
    merged: bool = False
    #: Of the knobs with the same name here one flag is possible, and it also replaces the others' values in the file.
    exclusive: str = ""
    #: Reads the key inside ``[[settings]]``, where that is not ``parse``.
    parse_in_settings: Parse[Any] | None = None
    #: Reads one value of an include or exclude rule as the text it is compared by; axes only.
    parse_in_rule: Parse[str] | None = None
    #: Makes the field's value of what was parsed and merged, where they differ.
    build: Callable[[Any], Any] | None = None
    #: The default in words, code in backticks; made of the field's default where empty.
    shown_default: str = ""
    #: The group of ``--help``, where it is not that of ``scope``.
    group: str = ""
    #: The field that holds the value; ``knobs_of`` fills it in.
    held_in: str = ""

    @property
    def option(self) -> str:
        """The flag."""
        return "--" + self.key.replace("_", "-")

    @property
    def title(self) -> str:
        """The group of ``--help``."""
        return self.group or GROUPS[self.scope]

    @property
    def is_switch(self) -> bool:
        """Whether the flag takes no value."""
        return self.parse is flag

    def value(self, parsed: Any) -> Any:
        """The field's value of what was parsed and merged."""
        return self.build(parsed) if self.build else parsed


@overload
def knob(parse: Parse[Any], scope: Scope, meaning: str, *, default: T, **also: Any) -> T: ...
@overload
def knob(parse: Parse[Any], scope: Scope, meaning: str, *, factory: Callable[[], T], **also: Any) -> T: ...
def knob(
    parse: Parse[Any], scope: Scope, meaning: str, *, default: Any = MISSING, factory: Any = MISSING, **also: Any
) -> Any:
    """A dataclass field with its default and its knob. also: what else is declared, by the names of ``Knob``."""
    metadata = {"knobs": (Knob(parse=parse, scope=scope, help=meaning, **also),)}
    if factory is not MISSING:
        return field(default_factory=factory, metadata=metadata)
    return field(default=default, metadata=metadata)


def knobs(*declared: Knob, factory: Callable[[], T]) -> T:
    """A dataclass field whose value several knobs make together."""
    value: T = field(default_factory=factory, metadata={"knobs": declared})
    return value


def group(part: Callable[[], T]) -> T:
    """A dataclass field that holds a class with knobs of its own."""
    value: T = field(default_factory=part, metadata={"part": part})
    return value


def knobs_of(cls: type) -> Iterator[Knob]:
    """Every knob of a dataclass and of its groups, in order, with all that follows from its field filled in."""
    for one in fields(cls):
        if "part" in one.metadata:
            yield from knobs_of(one.metadata["part"])
        for declared in one.metadata.get("knobs", ()):
            key = declared.key or one.name
            alone = len(one.metadata["knobs"]) == 1
            shown = declared.shown_default or _default(one, key, alone=alone)
            yield replace(declared, key=key, held_in=one.name, shown_default=shown)


def _default(one: Field[Any], key: str, *, alone: bool) -> str:
    value = one.default_factory() if one.default_factory is not MISSING else one.default
    if not alone:  # one of several knobs: the default is the attribute of its name, if there is one
        value = getattr(value, key, None) if is_dataclass(value) else None
    shown = _shown(value)
    return f"`{shown}`" if shown else ""


def _shown(value: Any) -> str:
    """A default as a user would write it; nothing for None, False and what is empty."""
    if value is None or value is False or value == {}:
        return ""
    if isinstance(value, tuple):
        return ",".join(_shown(item) for item in value)
    if isinstance(value, int) and value >= 1024 and value % 1024 == 0:
        return f"{value // 1024}k"
    return f"{value:g}" if isinstance(value, float) else str(getattr(value, "id", value))
