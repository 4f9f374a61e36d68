"""Every command line in the documentation and in --help is one the program takes, and those that need no engine run."""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.running import bench, rows_of
from tests.integration.stub_reward import Reward, serving
from tests.standin import model_directory
from tts_compare.cli import main
from tts_compare.cli.main import with_command
from tts_compare.cli.overrides import asked_by
from tts_compare.cli.parser import build_parser

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md")))
#: Pages whose flags are all ours; the others quote flags of engines and of other tools.
OWN_FLAGS = ("README.md", "configuration.md", "hosted.md", "faq.md", "reliability.md", "reports.md", "methods.md")
#: Flags of other programs that these pages name.
FOREIGN = {
    *("--save-detailed", "--flag", "--reasoning-config", "--reasoning-parser", "--enable-strict-thinking"),
    *("--enable-custom-logit-processor", "--disable-overlap-schedule"),
}
#: Names of commands in a sentence, not command lines.
NAMES = ("tts-compare --help", "tts-compare COMMAND --help", "tts-compare engines install")
#: Where the documentation says that a reward model is served.
REWARD = "http://localhost:8000"
RUNNABLE = ("plan", "report", "grade", "diff", "export", "import", "selftest", "completion")
RUNS = (
    "RUN",
    "A",
    "B",
    "tests/golden/quickstart",
    *(f"runs/{name}" for name in ("NAME", "mine", "hosted", "old", "new", "a", "b")),
)


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A parser and those of its commands."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from parsers(command)


def command_lines(text: str) -> Iterator[str]:
    """What a reader would type: lines of blocks, and spans in a sentence, that begin with the program's name."""
    for block in re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield from (line.strip() for line in block.splitlines() if re.match(r"\s*tts-compare ", line))
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    yield from re.findall(r"`(tts-compare [^`]+)`", prose)
    yield from re.findall(r"\$\((tts-compare [^)]+)\)", text)


def examples() -> Iterator[str]:
    """The examples of every --help."""
    for parser in parsers(build_parser()):
        for line in (parser.epilog or "").splitlines():
            if line.startswith("  tts-compare "):
                yield re.sub(r"\s{3,}\(.*\)$", "", line.strip())
            yield from re.findall(r"\$\((tts-compare [^)]+)\)", line)


def words_of(line: str) -> list[str]:
    """A command line as words, without what a shell would keep for itself."""
    line = re.sub(r"\s+#.*$", "", line)
    words = shlex.split(line)[1:]
    ends = (at for at, word in enumerate(words) if word in (">", "&"))
    return [word.removesuffix("...") for word in words[: next(ends, len(words))]]


DOCUMENTED = sorted({*(line for page in PAGES for line in command_lines(page.read_text())), *examples()})


def test_the_documentation_has_command_lines() -> None:
    assert len(DOCUMENTED) > 40
    named = {with_command(words_of(line))[0] for line in DOCUMENTED}
    assert named >= {*RUNNABLE, "run", "engines"}


@pytest.mark.parametrize("line", DOCUMENTED)
def test_it_is_a_command_line_that_the_program_takes(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if line in NAMES:
        return
    monkeypatch.setenv("OPENAI_BASE_URL", "https://host/v1")
    arguments = build_parser().parse_args(with_command(words_of(line)))
    if arguments.command in ("run", "plan") and (arguments.model or arguments.config):
        assert asked_by(arguments).experiment().axes


@pytest.fixture(scope="module")
def reward() -> Iterator[Reward]:
    """A reward model that runs."""
    with serving(Reward(rewarding=lambda _problem, response: 1 / (1 + len(response)))) as served:
        yield served


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, reward: Reward) -> Path:
    """A directory in which the names that the documentation uses exist."""
    home = tmp_path_factory.mktemp("docs")
    table = bench(home / "bench")
    flags = ("--backend=vllm", "--spec=none,ngram", "--problems=4", "--budget=8,24", "--quiet")
    assert main(table.argv("run", *flags)) == 0
    for name in RUNS:
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(table.home / "run", home / name)
    (home / "method.toml").write_text(f'[method_options.best_of_n]\nscores = "{reward.url}"\n')
    best = ("--method=best_of_n", "--samples=2", "--temperature=1", f"--config={home / 'method.toml'}")
    assert main(table.argv("scored", "--backend=vllm", "--problems=2", "--budget=8", "--quiet", *best)) == 0
    shutil.copytree(table.home / "scored", home / "runs/scored", ignore=shutil.ignore_patterns("scores.jsonl"))
    model_directory(home).rename(home / "DIR")
    shutil.copy(ROOT / "tests" / "unit" / "foreign" / "vllm_bench.json", home / "vllm-bench.json")
    shutil.copy(ROOT / "tests" / "unit" / "foreign" / "vllm_bench.json", home / "FILE")
    answers = '{"gold": "2", "response": "It is $\\\\boxed{2}$."}\n'
    for name in ("answers.jsonl", "FILE.jsonl"):
        (home / name).write_text(answers)
    return home


def runnable() -> list[str]:
    found = []
    for line in DOCUMENTED:
        words = with_command(words_of(line))
        if words[0] in RUNNABLE and "--help" not in words and len(words) > (words[0] in ("plan", "report", "grade")):
            found.append(line)
    return found


@pytest.mark.parametrize("line", runnable())
def test_what_needs_no_engine_runs(
    line: str, place: Path, reward: Reward, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setenv("COLUMNS", "100")
    problem = next(row.problem for row in rows_of(place / "RUN") if row.phase == "measured")
    stands_for = {"PROBLEM": problem, "algebra/1": problem, REWARD: reward.url}
    words = [stands_for.get(word, word) for word in words_of(line)]
    status = main(words)
    said = capsys.readouterr()
    assert status == 0, said.err
    assert said.out or said.err


@pytest.mark.parametrize("page", [page for page in PAGES if page.name in OWN_FLAGS], ids=lambda page: page.name)
def test_every_flag_that_a_page_names_exists(page: Path) -> None:
    known = {flag for parser in parsers(build_parser()) for action in parser._actions for flag in action.option_strings}
    spans = re.findall(r"`(--[a-z][^`]*)`", page.read_text())
    named = {match[0] for span in spans for match in re.finditer(r"(?<!\S)--[a-z][a-z-]*", span)}
    assert named - known - FOREIGN == set()


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), re.MULTILINE)}
    assert named
    assert named - targets == set()


def test_every_page_that_is_linked_exists() -> None:
    links = [
        (page, target)
        for page in PAGES
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
        if "://" not in target
    ]
    assert links
    assert [(page.name, target) for page, target in links if not (page.parent / target).exists()] == []


def test_every_test_that_the_page_on_reliability_names_exists() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text()
    defined = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    named = set(re.findall(r"`(test_[a-z0-9_]+)`", text))
    files = set(re.findall(r"`((?:tests/\w+/)?test_\w+\.py)`", text))
    assert len(named) >= 10
    assert named - defined == set()
    assert [name for name in files if not any((ROOT / at / name).exists() for at in (".", "tests/integration"))] == []
