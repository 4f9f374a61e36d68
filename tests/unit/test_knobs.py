"""A knob is declared once: what reads it, its flag, its help, its completion and its documentation follow."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.docs_tables import DOCS, TABLES, current, knob_table
from tts_compare.cli import main
from tts_compare.cli.knob_flags import add_knobs
from tts_compare.cli.parser import COMMANDS, build_parser
from tts_compare.config import Axes, Experiment, Hosted, WaitLimits, load_experiment
from tts_compare.config.keys import KNOBS, SYNONYMS, TOP
from tts_compare.config.knob import knob, knobs_of
from tts_compare.config.values import count, flag, nearest
from tts_compare.domain import Sampling

#: Made of other fields, not asked for.
MADE = {"product"}
#: The defaults that are code, as a user would type them.
STATED = {key: one.shown_default.strip("`") for key, one in KNOBS.items() if one.shown_default.startswith("`")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Small:
    """Two knobs, each declared by its field alone."""

    wide_open: int = knob(count, "work", "how `wide`, 50% at most", metavar="N", default=2048)
    shut: bool = knob(flag, "run", "nothing", default=False)
    level: str | None = knob(str, "run", "how strict", levels={"high": "very", "low": "a little"}, default=None)


def parsed(*words: str) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    add_knobs(parser, knobs_of(Small))
    return vars(parser.parse_args(words))


def test_one_field_makes_a_flag_its_help_and_a_row_of_the_documentation() -> None:
    parser = argparse.ArgumentParser()
    add_knobs(parser, knobs_of(Small))
    told = " ".join(parser.format_help().split())
    assert "--wide-open N how wide, 50% at most (default: 2k)" in told
    assert "| `wide_open` | `--wide-open` | how `wide`, 50% at most | `2k` |" in knob_table(knobs_of(Small))
    assert parsed("--wide-open", "8", "--shut") == {"config": None, "wide_open": "8", "shut": True, "level": None}


def test_a_flag_with_levels_takes_no_word_after_it() -> None:
    assert [parsed(word)["level"] for word in ("--level", "--level=high", "--level=low")] == ["high", "high", "low"]
    with pytest.raises(SystemExit):
        parsed("--level", "low")


@pytest.mark.parametrize("cls", [Experiment, Axes, Hosted, WaitLimits])
def test_every_field_that_can_be_asked_for_has_a_knob(cls: type) -> None:
    bare = {one.name for one in fields(cls) if not one.metadata.keys() & {"knobs", "part"}}
    assert bare <= MADE


def test_the_sampling_parameters_are_the_domains() -> None:
    made = {one.key for one in knobs_of(Experiment) if one.held_in == "sampling"}
    assert made == {one.name for one in fields(Sampling)}


def test_no_two_knobs_share_a_key_or_a_flag() -> None:
    declared = list(knobs_of(Experiment))
    keys = [key for one in declared for key in (one.key, *one.synonyms)]
    flags = [name for one in declared if one.flag for name in (one.option, *one.aliases)]
    assert (len(keys), len(flags)) == (len(set(keys)), len(set(flags)))
    assert len(keys) > 50


@pytest.mark.parametrize("key", STATED)
def test_the_default_that_is_told_is_what_is_done_when_nothing_is_given(key: str) -> None:
    assert load_experiment(None, {key: STATED[key]}, environ={}) == load_experiment(None, {}, environ={})


def test_most_defaults_are_told_as_they_would_be_typed() -> None:
    assert len(STATED) > 20


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: str(page.name))
def test_the_tables_of_the_documentation_are_what_the_code_declares(page: Any) -> None:
    assert page.read_text() == current(page.read_text()), "run: make docs"


def test_every_knob_is_in_a_table_of_the_documentation() -> None:
    text = "".join(table() for table in TABLES.values())
    page = (DOCS / "configuration.md").read_text()
    assert [key for key in (*TOP, *SYNONYMS) if f"`{key}`" not in text] == []
    assert [name for name in TABLES if f"<!-- table: {name} -->" not in page] == []


def commands_of(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    return next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction)).choices


def test_commands_that_repeat_a_knob_take_its_flag() -> None:
    commands = commands_of(build_parser())
    for command in ("grade", "report", "diff"):
        repeated = {a.dest: a for a in commands[command]._actions if a.dest in ("policy", "grader", "no_color")}
        assert repeated
        for key, action in repeated.items():
            assert (action.option_strings[0], tuple(action.choices or ())) == (KNOBS[key].option, KNOBS[key].choices)


def test_the_list_of_commands_needs_not_the_configuration() -> None:
    seen = "import sys; from tts_compare.cli.parser import build_parser; build_parser('--help').format_help(); "
    asked = "print([name for name in sys.modules if name.startswith('tts_compare.config')])"
    done = subprocess.run([sys.executable, "-c", seen + asked], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_asked_for_alone_takes_what_it_takes_among_all(command: str) -> None:
    whole, alone = (commands_of(parser)[command] for parser in (build_parser(), build_parser(command)))
    assert alone.format_help() == whole.format_help()


KINDS = ("none", "ngram", "draft_model", "eagle", "eagle3", "mtp")


@pytest.mark.parametrize(
    ("name", "known", "suggested"),
    [
        ("nonsense", KINDS, None),
        ("no", KINDS, None),
        ("ngrams", KINDS, "ngram"),
        ("NGRAM", KINDS, "ngram"),
        ("eagle2", KINDS, "eagle"),
        ("vlm", ("vllm", "sglang", "openai"), "vllm"),
        ("vLLM", ("vllm", "sglang", "openai"), "vllm"),
        ("openvino", ("vllm", "sglang", "openai"), None),
        ("one-pass", ("single-pass", "per-budget"), "single-pass"),
        ("xy", ("tp", "pp", "dp"), None),
    ],
)
def test_a_name_is_suggested_only_where_it_may_have_been_meant(
    name: str, known: tuple[str, ...], suggested: str | None
) -> None:
    expected = f"did you mean {suggested!r}?" if suggested else f"known: {', '.join(known)}"
    assert nearest(name, known) == expected


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--bugdet", "4"], "unknown flag --bugdet; did you mean --budget?"),
        (["--bugdet=4"], "unknown flag --bugdet; did you mean --budget?"),
        (["plan", "--curv=single-pass"], "unknown flag --curv; did you mean --curve?"),
        (["--nonsense"], "unknown flag --nonsense; see tts-compare run --help"),
        (["engines", "install", "vllm", "--devise", "cpu"], "unknown flag --devise; did you mean --device?"),
        (["selftest", "now"], "'now' is one word too many; see tts-compare selftest --help"),
    ],
)
def test_an_unknown_flag_is_told_in_one_line_with_the_nearest(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert capsys.readouterr().err == f"tts-compare: {told}\n"


@given(st.sampled_from([key for key in (*TOP, *SYNONYMS) if len(key) >= 4]), st.data())
def test_a_key_with_one_letter_missing_is_recognised(key: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(key) - 1))
    short = key[:at] + key[at + 1 :]
    if short not in TOP and short not in SYNONYMS:
        assert nearest(short, [*TOP, *SYNONYMS]).startswith("did you mean ")
