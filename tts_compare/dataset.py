"""Data sets of problems: MATH-500 from the hub, a local JSONL or Parquet file, and the quickstart set shipped here.

A data set is never switched for another: what cannot be read is a UsageError.
"""

from __future__ import annotations

import hashlib
import json
import logging
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

from tts_compare.domain import AnswerKind, Problem
from tts_compare.errors import UsageError
from tts_compare.extensions import Extensions

NAMES = ("math500", "quickstart")

#: Data sets of other packages: each a function from ``fetch`` (whether the network may be used) to a Dataset.
DATASETS: Extensions[Callable[[bool], Dataset]] = Extensions("tts_compare.datasets", {})

_MATH500 = "HuggingFaceH4/MATH-500"
_PROBLEM_FIELDS = ("problem", "question")
_ID_FIELDS = ("unique_id", "id")
_Row = tuple[int, Mapping[str, Any]]  # the line (or Parquet row) it stands on, counted from 1, and its fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Problems in the order of their file, and what identifies them.

    sha256: of the file's bytes; for a data set from the hub, which is no file of ours, of its rows as JSON lines
    with sorted keys. It names the whole set also where ``problems`` is a sample of it. prompt_hint: the prompt
    template that suits the set when none is asked for. whole: how many problems the set has, sampled or not.
    """

    name: str
    path: str | None
    sha256: str
    problems: tuple[Problem, ...]
    prompt_hint: str = "math"
    whole: int = 0


def load_problems(
    name_or_path: str | Path,
    *,
    n: int | None = None,
    seed: int = 0,
    answer_kind: AnswerKind = "math",
    fetch: bool = True,
) -> Dataset:
    """Read ``math500``, ``quickstart`` or a file of problems; ``n`` takes a sample stratified by level.

    A file holds one object a line (``.jsonl``) or is Parquet, with the fields ``problem`` (or ``question``),
    ``answer``, and if it has them ``subject``, ``level``, ``unique_id`` (or ``id``). The sample is the same for the
    same seed. fetch: ``math500`` may be fetched from the hub; else only the hub's cache is read. Raises UsageError
    for whatever cannot be read, naming the line.
    """
    if answer_kind not in get_args(AnswerKind):
        raise UsageError(f"answer_kind: {answer_kind!r} is none of {', '.join(get_args(AnswerKind))}")
    read = _read(str(name_or_path), answer_kind, fetch=fetch)
    dataset = replace(read, whole=len(read.problems))
    return dataset if n is None else replace(dataset, problems=stratified_sample(dataset.problems, n, seed=seed))


def stratified_sample(problems: tuple[Problem, ...], n: int, *, seed: int = 0) -> tuple[Problem, ...]:
    """``n`` of the problems, each level in proportion (largest remainder), in their original order.

    Raises UsageError unless ``0 < n <= len(problems)``.
    """
    if not 0 < n <= len(problems):
        raise UsageError(f"cannot take {n} problems: the data set has {len(problems)}; give 1 to {len(problems)}")
    sizes = Counter(p.level for p in problems)
    levels = sorted(sizes, key=lambda level: (level is None, level or 0))
    shares = {level: n * sizes[level] / len(problems) for level in levels}
    takes = {level: int(shares[level]) for level in levels}
    by_remainder = sorted(levels, key=lambda level: takes[level] - shares[level])
    for level in by_remainder[: n - sum(takes.values())]:
        takes[level] += 1
    rng = random.Random(seed)  # noqa: S311 - a sample, not a secret
    chosen: set[str] = set()
    for level in levels:
        chosen.update(p.id for p in rng.sample([p for p in problems if p.level == level], takes[level]))
    return tuple(p for p in problems if p.id in chosen)


def _read(name: str, kind: AnswerKind, *, fetch: bool) -> Dataset:
    if name == "math500":
        rows = _hub_rows(fetch=fetch)
        canonical = "".join(json.dumps(row, sort_keys=True, default=str) + "\n" for _, row in rows)
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        return Dataset(name=name, path=None, sha256=digest, problems=_problems(rows, source=_MATH500, kind=kind))
    if name == "quickstart":
        raw = files("tts_compare.configs").joinpath("quickstart.jsonl").read_bytes()
        problems = _problems(_jsonl_rows(raw, source=name), source=name, kind=kind)
        digest = hashlib.sha256(raw).hexdigest()
        return Dataset(name=name, path=None, sha256=digest, problems=problems, prompt_hint="fewshot")
    if name in DATASETS and not Path(name).exists():
        return DATASETS[name](fetch)
    path = Path(name)
    if not path.exists() and path.suffix not in (".jsonl", ".json", ".parquet") and path.name == name:
        known = " or ".join((*NAMES, *DATASETS))
        raise UsageError(f"unknown data set {name!r}: give {known}, or the path of a JSONL or Parquet file")
    raw = _bytes(path)
    rows = _parquet_rows(path) if path.suffix == ".parquet" else _jsonl_rows(raw, source=name)
    digest = hashlib.sha256(raw).hexdigest()
    return Dataset(name=path.stem, path=name, sha256=digest, problems=_problems(rows, source=name, kind=kind))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the data set {path}: {error.strerror or error}") from error


def _hub_rows(*, fetch: bool) -> list[_Row]:
    """The rows as the hub's cache holds them; else, if allowed, fetched."""
    import datasets  # type: ignore[import-untyped]

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # else each of its retries is told on stderr
    datasets.disable_progress_bars()
    try:
        with _no_network():
            loaded = datasets.load_dataset(_MATH500, split="test")
    except Exception as missing:  # the client raises many kinds, and each means: not to be had
        if not fetch:
            raise _unreachable(missing) from missing
        try:
            loaded = datasets.load_dataset(_MATH500, split="test")
        except Exception as error:
            raise _unreachable(error) from error
    return [(i, dict(row)) for i, row in enumerate(loaded, start=1)]


def _unreachable(error: Exception) -> UsageError:
    cause = str(error).splitlines()[0] if str(error) else type(error).__name__
    return UsageError(
        f"math500: {_MATH500} could not be fetched ({cause}); "
        "go online once, or give a local copy with --dataset FILE.jsonl, or --dataset quickstart"
    )


@contextmanager
def _no_network() -> Iterator[None]:
    """The hub's client as with HF_HUB_OFFLINE=1, which it reads at import only.

    Without it a machine that is off line waits for five retries, 25 s, though the set lies in its cache.
    """
    import datasets
    from huggingface_hub import constants

    before = (datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE)
    datasets.config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE = before


def _jsonl_rows(raw: bytes, *, source: str) -> list[_Row]:
    rows: list[_Row] = []
    for number, line in enumerate(raw.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UsageError(f"{source}, line {number}: not JSON ({error}); one object a line is expected") from error
        if not isinstance(row, dict):
            raise UsageError(f"{source}, line {number}: a JSON object is expected, not {type(row).__name__}")
        rows.append((number, row))
    return rows


def _parquet_rows(path: Path) -> list[_Row]:
    import polars

    try:
        frame = polars.read_parquet(path)
    except Exception as error:  # polars' own, and pyo3 panics
        raise UsageError(f"cannot read the data set {path} as Parquet: {str(error).splitlines()[0]}") from error
    return list(enumerate(frame.to_dicts(), start=1))


def _problems(rows: Iterable[_Row], *, source: str, kind: AnswerKind) -> tuple[Problem, ...]:
    problems: list[Problem] = []
    lines: dict[str, int] = {}
    for line, row in rows:
        problem = _problem(line, row, source=source, kind=kind)
        if problem.id in lines:
            raise UsageError(
                f"{source}, line {line}: id {problem.id!r} was on line {lines[problem.id]}; ids must be unique"
            )
        lines[problem.id] = line
        problems.append(problem)
    if not problems:
        raise UsageError(f"{source}: no problems in it")
    return tuple(problems)


def _problem(line: int, row: Mapping[str, Any], *, source: str, kind: AnswerKind) -> Problem:
    where = f"{source}, line {line}"
    text = next((row[f] for f in _PROBLEM_FIELDS if isinstance(row.get(f), str) and row[f].strip()), None)
    if text is None:
        raise UsageError(f"{where}: no problem; give it in the field `problem` (or `question`)")
    answer = row.get("answer")
    figure = isinstance(answer, int | float | Decimal) and not isinstance(answer, bool) and answer == answer  # noqa: PLR0124 - NaN
    if not figure and not (isinstance(answer, str) and answer.strip()):
        raise UsageError(f"{where}: no answer; give it in the field `answer`")
    ident = next((row[f] for f in _ID_FIELDS if row.get(f) not in (None, "")), str(line))
    return Problem(
        id=str(ident),
        problem=text,
        answer=_final_answer(str(answer), kind, where=where),
        subject=None if row.get("subject") is None else str(row["subject"]),
        level=_level(row.get("level"), where=where),
        kind=kind,
    )


def _final_answer(answer: str, kind: AnswerKind, *, where: str) -> str:
    """GSM8K keeps the solution in ``answer`` and the figure after ``####``, with commas in thousands."""
    if kind != "gsm8k":
        return answer
    final = answer.rpartition("####")[2].strip().replace(",", "")
    if not final:
        raise UsageError(f"{where}: no answer after `####`")
    return final


def _level(value: object, *, where: str) -> int | None:
    """``3`` of ``3``, of ``Level 3``, or of 3.0, which a column of figures with gaps makes of it."""
    if value is None or value != value:  # noqa: PLR0124 - NaN, a gap in such a column
        return None
    try:
        if isinstance(value, float) and value.is_integer():
            return int(value)
        return int(str(value).removeprefix("Level").strip())
    except ValueError:
        raise UsageError(f"{where}: level {value!r} is not a number; leave it out if there is none") from None
