"""The table of warning codes: every code that anything makes or marks is in it, and in the documentation."""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tts_compare
from tts_compare.cli.parser import build_parser
from tts_compare.codes import CODES, STRICT, failing, stated, warn
from tts_compare.codes.rows import ROW_CODES

ROOT = Path(tts_compare.__file__).parent
METRICS = Path(__file__).parents[2] / "docs" / "metrics.md"
_CODE = re.compile(r"[a-z]+(_[a-z0-9]+)+")
#: Marks of rows by their names in the client: the sets, tuples and dictionaries that end in a row's ``doubts``.
_MARKING = re.compile(r"warning|doubt")


def trees(*rooms: str) -> Iterator[tuple[Path, ast.Module]]:
    for room in rooms:
        for path in sorted((ROOT / room).rglob("*.py")):
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def names_in(node: ast.AST) -> set[str]:
    found = set()
    for part in ast.walk(node):
        for name in ("id", "attr", "arg", "name"):
            if isinstance(value := getattr(part, name, None), str):
                found.add(value)
    return found


def strings_in(node: ast.AST) -> set[str]:
    return {
        part.value
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and _CODE.fullmatch(part.value)
    }


def marks_of_the_client() -> set[str]:
    """Snake-case strings of every simple statement of the client that speaks of doubts, and of functions named so."""
    found: set[str] = set()
    for _, tree in trees("client"):
        for node in ast.walk(tree):
            named = isinstance(node, ast.FunctionDef) and (
                _MARKING.search(node.name) or (node.returns and "set[str]" in ast.unparse(node.returns))
            )
            simple = isinstance(node, ast.Assign | ast.AugAssign | ast.Expr) and any(
                _MARKING.search(name) for name in names_in(node)
            )
            if named or simple:
                found |= strings_in(node)
    return found


def test_every_mark_of_the_client_is_in_the_table() -> None:
    marks = marks_of_the_client()
    # What the client is known to mark today: were the search blind, it would miss these.
    assert {"no_done", "unclean_end", "counts_disagree", "timeline_estimated", "past_max_tokens"} <= marks
    assert marks - {name for name in marks if name in CODES} == set()


def test_every_code_that_is_warned_of_by_name_is_in_the_table() -> None:
    used = {
        node.args[0].value: path
        for path, tree in trees("")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "warn"
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }
    used |= {
        node.value.value: path
        for path, tree in trees("analysis")
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword)
        and node.arg == "code"
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    }
    assert len(used) > 20
    assert {code: path for code, path in used.items() if code not in CODES} == {}


def test_every_code_of_the_table_is_made_somewhere() -> None:
    """By name, in the sources outside the table: a code that nothing makes is documentation of nothing."""
    named = set[str]()
    for path, tree in trees(""):
        if path.parent.name != "codes":
            named |= {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    assert len(CODES) > 80
    assert set(CODES) - named == set()


def test_warnings_are_made_from_the_table_alone() -> None:
    """A mark of a later version, of which the table knows nothing, is the one exception."""
    made = [
        path.relative_to(ROOT).as_posix()
        for path, tree in trees("")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "RunWarning"
    ]
    assert sorted(made) == ["analysis/findings/request_warnings.py", "codes/__init__.py", "codes/__init__.py"]


def test_a_code_outside_the_table_cannot_be_warned_of() -> None:
    with pytest.raises(KeyError):
        warn("no_such_code")


@pytest.mark.parametrize("code", CODES)
def test_every_row_says_how_bad_it_is_what_it_means_and_what_to_do(code: str) -> None:
    row = CODES[code]
    assert re.fullmatch(r"[a-z][a-z0-9_]*", code)
    assert row.severity in ("error", "warning", "note")
    assert row.text
    assert not row.text.endswith(".")
    assert row.fix or row.severity == "note"


def options(command: str) -> set[str]:
    (commands,) = (a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    return {option for action in commands.choices[command]._actions for option in action.option_strings}


@pytest.mark.parametrize("code", [code for code, row in CODES.items() if "tts-compare " in row.fix])
def test_a_fix_is_a_command_that_the_program_has(code: str) -> None:
    command, *words = CODES[code].fix.split("tts-compare ")[1].split("#")[0].split()
    assert {word for word in words if word.startswith("--")} <= options(command)


def documented() -> list[str]:
    """The table's rows as docs/metrics.md has them: errors first, each severity by code."""
    ordered = sorted(CODES.items(), key=lambda item: (("error", "warning", "note").index(item[1].severity), item[0]))
    return [
        f"| {code} | {row.severity} | {row.text} | {f'`` {row.fix} ``' if row.fix else row.advice} |"
        for code, row in ordered
    ]


def test_the_documentation_has_the_table() -> None:
    """``python -m tests.contract.test_warning_codes`` prints the rows that belong there."""
    section = METRICS.read_text(encoding="utf-8").split("## Warnings\n")[1].split("\n## ")[0]
    assert [line for line in section.splitlines() if re.match(r"\| \w+ \| (error|warning|note) ", line)] == documented()


def test_strict_fails_on_errors_and_with_warning_on_both() -> None:
    found = [warn("parallel_servers"), warn("one_server_start"), warn("engine_died")]
    assert [w.code for w in failing(found, None)] == []
    assert [w.code for w in failing(found, "error")] == ["engine_died"]
    assert [w.code for w in failing(found, "warning")] == ["engine_died", "one_server_start"]
    assert set(STRICT) == {"error", "warning"}


def test_a_manifest_of_format_1_takes_severity_and_fix_from_the_table() -> None:
    told = stated({"code": "machine_changed", "message": "m", "advice": "a", "setting": None})
    assert (told.severity, told.message, told.advice) == ("error", "m", "a")
    assert told.fix == CODES["machine_changed"].fix


@pytest.mark.parametrize(
    ("says", "taken"), [("error", "error"), ("note", "note"), ("worse", "warning"), (None, "warning")]
)
def test_a_code_of_a_later_version_keeps_a_severity_that_is_one(says: str | None, taken: str) -> None:
    told = stated({"code": "of_tomorrow", "message": "m", "setting": "s", "severity": says})
    assert (told.code, told.severity, told.message, told.setting) == ("of_tomorrow", taken, "m", "s")


def test_marks_of_rows_have_sentences_of_their_own() -> None:
    assert len({row.text for row in ROW_CODES.values()}) == len(ROW_CODES)


if __name__ == "__main__":
    sys.stdout.write("\n".join(documented()) + "\n")
