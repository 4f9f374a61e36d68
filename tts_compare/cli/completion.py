"""``tts-compare completion SHELL``: a script that completes commands, flags, their choices, and paths."""

from __future__ import annotations

import argparse
from argparse import Namespace
from collections.abc import Iterator

from tts_compare.cli.parser import build_parser

#: Where a word is a path, by the metavar that its help shows.
_FILES = frozenset({"FILE", "NAME|FILE", "NAME|PATH"})
_DIRECTORIES = frozenset({"DIR", "RUN", "A", "B"})


def completion_command(arguments: Namespace) -> int:
    """Print the script of one shell."""
    print(completion_script(arguments.shell))
    return 0


def completion_script(shell: str) -> str:
    """The script for ``bash``, ``zsh`` or ``fish``, made from the parser itself, so that no flag can be missing."""
    import shtab

    from tts_compare.engines.recipes import PINNED

    parser = build_parser()
    for action in _actions(parser):
        if action.metavar in _FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif action.metavar in _DIRECTORIES:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
        elif action.metavar == "ENGINE":
            action.choices = tuple(PINNED)
    script: str = shtab.complete(parser, shell=shell)
    return script


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Every argument of a parser and of its commands."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no public way to list them
        yield action
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for command in action.choices.values():
                yield from _actions(command)
