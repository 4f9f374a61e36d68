"""The flags that knobs declare, for argparse; values stay strings, which the configuration reads."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

from tts_compare.cli.knob_names import meaning_of
from tts_compare.config.keys import KNOBS
from tts_compare.config.knob import GROUPS, Knob


def add_knobs(parser: argparse.ArgumentParser, knobs: Iterable[Knob] = tuple(KNOBS.values())) -> None:
    """The flags of every knob that has one, grouped; ``--config`` beside them."""
    groups = {title: parser.add_argument_group(title) for title in dict.fromkeys(GROUPS.values())}
    groups["what is compared"].add_argument(
        "--config", metavar="NAME|FILE", help="an experiment as TOML; flags override it (quickstart, paper, ...)"
    )
    alternatives: dict[str, argparse._MutuallyExclusiveGroup] = {}
    for knob in knobs:
        if not knob.flag:
            continue
        into: argparse._ActionsContainer = groups[knob.title]
        if knob.exclusive:
            if knob.exclusive not in alternatives:
                alternatives[knob.exclusive] = groups[knob.title].add_mutually_exclusive_group()
            into = alternatives[knob.exclusive]
        add_knob(into, knob)


def repeat_knob(into: argparse._ActionsContainer, key: str, *, help_: str = "") -> None:
    """The flag of a knob on another command than ``run``. help_: what it means there, if not the same."""
    add_knob(into, KNOBS[key], help_=help_)


def add_knob(into: argparse._ActionsContainer, knob: Knob, *, help_: str = "") -> None:
    """The flag of one knob. help_: what it means here, if that is not what the knob says."""
    told = (help_ or help_of(knob)).replace("%", "%%")
    form: dict[str, Any] = {"metavar": knob.metavar}
    if knob.levels:
        _add_levels(into, knob)
        return
    if knob.is_switch:
        form = {"action": "store_const", "const": True}
    elif knob.choices:
        form = {"choices": knob.choices}
    elif knob.repeatable:
        form["action"] = "append"
    into.add_argument(knob.option, *knob.aliases, dest=knob.key, help=told, **form)


def _add_levels(into: argparse._ActionsContainer, knob: Knob) -> None:
    """``--flag`` and ``--flag=VALUE``: flags of their own to argparse, so that no word after one is its value."""
    flags = [knob.option, *knob.aliases]
    for level, told in knob.levels.items():
        into.add_argument(*flags, f"{knob.option}={level}", dest=knob.key, action="store_const", const=level, help=told)
        flags = []


def help_of(knob: Knob) -> str:
    """A knob's line in ``--help``: what it means, and its default."""
    notes = ["repeatable"] if knob.repeatable else []
    if knob.shown_default:
        notes.append(f"default: {knob.shown_default}")
    return (meaning_of(knob) + (f" ({'; '.join(notes)})" if notes else "")).replace("`", "")
