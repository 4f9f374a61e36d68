"""The tables of the documentation that are made of declarations: `make docs` writes them, a test compares them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.gpu.proof import claims_table, proofs_table
from tts_compare.cli.knob_names import meaning_of
from tts_compare.config.experiment import Experiment, Limits
from tts_compare.config.knob import Knob, Scope, knobs_of

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = (DOCS.parent / "README.md", *sorted(DOCS.glob("*.md")))
_TABLE = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def knob_table(knobs: Iterable[Knob]) -> str:
    """A row for each knob: its key, its flag, what it means, its default; without flags where no knob has one."""
    rows = list(knobs)
    heads = ["key", "flag", "meaning", "default"] if any(knob.flag for knob in rows) else ["key", "meaning", "default"]
    lines = [heads, ["---"] * len(heads)]
    for knob in rows:
        key = " or ".join(f"`{name}`" for name in (knob.key, *knob.synonyms))
        flag = ", ".join(f"`{name}`" for name in (knob.option, *knob.aliases)) if knob.flag else ""
        default = knob.shown_default or ("`false`" if knob.is_switch else "")
        lines.append([key, *([flag] if "flag" in heads else []), meaning(knob), default])
    return "".join(re.sub(r"\|\s+(?=\|)", "| ", "| " + " | ".join(cells) + " |") + "\n" for cells in lines)


def meaning(knob: Knob) -> str:
    """What a knob means: its help, its possible values, and what only the documentation adds."""
    choices = [f"`{choice}`" for choice in knob.choices]
    values = [f"one of {', '.join(choices)}"] if choices and choices[0] not in knob.help else []
    levels = [f'`{knob.key} = "{level}"`: {told}' for level, told in knob.levels.items()]
    return "; ".join(part for part in (meaning_of(knob), *values, *levels, knob.more) if part)


def _of(*scopes: Scope) -> Callable[[], str]:
    return lambda: knob_table(knob for knob in knobs_of(Experiment) if knob.scope in scopes)


#: What stands between ``<!-- table: NAME -->`` and ``<!-- end of table -->``.
TABLES: dict[str, Callable[[], str]] = {
    "axis": _of("axis"),
    "setting": _of("setting"),
    "hosted": _of("hosted"),
    "work": _of("work"),
    "judging": _of("judging"),
    "run": _of("run", "invocation"),
    "limit": lambda: knob_table(knobs_of(Limits)),
}
#: Tables of what only a GPU can show.
PROOFS: dict[str, Callable[[], str]] = {
    "gpu-claims": claims_table,
    "gpu-proofs": lambda: proofs_table(DOCS / "gpu-proofs"),
}


def current(page: str) -> str:
    """A page with its tables made anew."""
    return _TABLE.sub(lambda match: match[1] + {**TABLES, **PROOFS}[match[2]]() + match[3], page)


def main() -> None:
    """Write the tables of every page."""
    for path in PAGES:
        before = path.read_text()
        after = current(before)
        if after != before:
            path.write_text(after)


if __name__ == "__main__":
    main()
