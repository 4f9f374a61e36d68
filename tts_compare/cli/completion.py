"""``tts-compare completion SHELL``: a script that completes commands, flags, values and paths."""

from __future__ import annotations

import argparse
from argparse import Namespace
from collections.abc import Iterable

from tts_compare.cli.knob_flags import add_knobs
from tts_compare.cli.knob_names import names_of
from tts_compare.cli.parser import build_parser, every_action
from tts_compare.config import shipped_configs
from tts_compare.config.keys import KNOBS

#: A flag first means ``run``, as in the program; the root parser's own flags are offered while that word is typed.
_BASH_BARE = """
_tts_compare() {
  if [[ $COMP_CWORD -gt 1 && ${COMP_WORDS[1]} == -* ]]; then
    COMP_WORDS=("${COMP_WORDS[0]}" run "${COMP_WORDS[@]:1}")
    COMP_CWORD=$((COMP_CWORD + 1))
  fi
  _shtab_tts_compare
}
complete -o bashdefault -F _tts_compare tts-compare
"""


def completion_command(arguments: Namespace) -> int:
    """Print the script of one shell."""
    print(completion_script(arguments.shell))
    return 0


def completion_script(shell: str) -> str:
    """The script for ``bash``, ``zsh`` or ``fish``, made from the parser itself, so that no flag can be missing."""
    import shtab

    parser = build_parser()
    add_knobs(parser)  # without a command the flags of `run` are meant
    for action in every_action(parser):
        names = tuple(_names(action))
        kind = _path_kind(action.metavar)
        if names and not action.choices:
            action.complete = _offer(action, names, kind)  # type: ignore[attr-defined]
        elif kind:
            action.complete = {"file": shtab.FILE, "dir": shtab.DIRECTORY}[kind]  # type: ignore[attr-defined]
    script: str = shtab.complete(parser, shell=shell)
    return script + (_BASH_BARE if shell == "bash" else "")


def _names(action: argparse.Action) -> Iterable[str]:
    """Names that are offered for a value; others are possible."""
    if action.metavar == "ENGINE":
        from tts_compare.installer.recipes import PINNED

        return PINNED
    if action.dest == "config":
        return shipped_configs()
    knob = KNOBS.get(action.dest)
    return names_of(knob) if knob else ()


def _path_kind(metavar: str | tuple[str, ...] | None) -> str:
    """Whether a value may be a ``file`` or a ``dir``, by the metavar that its help shows."""
    words = set(metavar.split("|")) if isinstance(metavar, str) else set()
    if words & {"DIR", "RUN", "A", "B"}:
        return "dir"
    return "file" if words & {"FILE", "PATH"} else ""


def _offer(action: argparse.Action, names: tuple[str, ...], kind: str) -> dict[str, str | dict[str, str]]:
    """A function of each shell that offers names, after a comma too where the value is a list, and paths."""
    function = f"_tts_compare_{'path' if kind else 'name'}s_{action.dest}"
    words = " ".join(names)
    is_list = str(action.metavar).endswith(",...")
    bash = 'local done=""; [[ $1 == *,* ]] && done="${1%,*},"; ' if is_list else ""
    bash += f'compgen -P "$done" -W "{words}" -- "${{1##*,}}"' if is_list else f'compgen -W "{words}" -- "$1"'
    zsh = f"_sequence compadd - {words}" if is_list else f"compadd - {words}"
    paths = {"": ("", "", ""), "file": ('; compgen -f -- "$1"', "; _files", "; __fish_complete_path")}
    paths["dir"] = ('; compgen -d -- "$1"', "; _files -/", "; __fish_complete_directories")
    more_bash, more_zsh, more_fish = paths[kind]
    fish = f"printf '%s\\n' {words}"
    return {
        "bash": function,
        "zsh": function,
        "fish": f"(__fish_complete_list , {function})" if is_list else f"({function}{more_fish})",
        "preamble": {
            "bash": f"{function}() {{ {bash}{more_bash}; }}",
            "zsh": f"{function}() {{ {zsh}{more_zsh} }}",
            "fish": f"function {function}; {fish}; end",
        },
    }
