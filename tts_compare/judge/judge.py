"""Records -> grades -> points, from the files of a run alone; what ``run``, ``grade`` and ``report`` share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any

import msgspec

from tts_compare.analysis.rows.cut import cut, cut_only_at
from tts_compare.codes import warn
from tts_compare.domain import Grade, Policy, Problem, RequestRecord, RowKey, RunWarning
from tts_compare.domain.ending import ending
from tts_compare.domain.events import Emit, Graded
from tts_compare.errors import RunError, UsageError
from tts_compare.grading.pool import GraderPool
from tts_compare.grading.records import grade_records
from tts_compare.grading.votes import best_of_n_grades, grouped, row_key, vote_grades, with_failed
from tts_compare.methods import METHODS
from tts_compare.methods.best_of_n import is_endpoint
from tts_compare.methods.method import Tokens
from tts_compare.methods.model_files import model_dir, tokens_of
from tts_compare.rundir import store
from tts_compare.rundir.facts import SettingFacts
from tts_compare.rundir.manifest import Manifest
from tts_compare.rundir.scores import Score

if TYPE_CHECKING:
    from tts_compare.grading.judgement import Grader, Judgement


class Judge:
    """Grades the rows of a run, setting by setting; a context manager that owns its worker processes."""

    def __init__(
        self,
        run: store.RunDir,
        manifest: Manifest,
        *,
        policy: Policy,
        grader: Grader = "layered",
        limit_s: float = 5.0,
    ) -> None:
        self._run, self._manifest = run, manifest
        self._policy: Policy = policy
        self._grader: Grader = grader
        self._pool = GraderPool(limit_s=limit_s)
        self._problems = problems_of(manifest)
        #: Of each response or prefix, by its row and its cut: rows are only appended, so none is judged twice.
        self._judged: dict[tuple[RowKey, int | None], Judgement] = {}
        self._tokenizers: dict[str, Tokens | None] = {}
        self._undecoded: set[str] = set()

    def __enter__(self) -> Judge:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.close()

    def grade(self, setting: str) -> list[Grade]:
        """Grades, classes and votes of one setting's rows as they stand in the file."""
        rows = self._rows(setting)
        grades = list(self._graded(rows))
        facts = self._manifest.settings.get(setting)
        hosted = facts is not None and facts.base_url is not None
        return [*self._with_votes(grades, failed_samples(rows, hosted=hosted))]

    def grade_new(self, setting: str, tell: Emit) -> None:
        """Judge what has come in of a setting since the last time, and tell of each whole response."""
        known = set(self._judged)
        for grade in self._graded(self._rows(setting)):
            if grade.cut_tokens is None and (row_key(grade), None) not in known:
                tell(Graded(setting=grade.setting, correct=grade.status == "correct", at_s=monotonic()))

    def _rows(self, setting: str) -> list[RequestRecord]:
        budgets = derived_budgets(self._manifest)
        read = store.read_rows(self._run.records, RequestRecord)
        return [_without_instants(row, budgets) for row in read if row.setting == setting]

    def _graded(self, rows: Sequence[RequestRecord]) -> Iterator[Grade]:
        return grade_records(
            rows,
            self._problems,
            pool=self._pool,
            policy=self._policy,
            budgets=derived_budgets(self._manifest),
            grader=self._grader,
            stop_at=self._manifest.prompt.stop_at,
            decode=self._decode,
            judged=self._judged,
        )

    def _decode(self, setting: str, ids: Sequence[int]) -> str | None:
        """Text of tokens, where the files of the setting's model are at hand: nothing is fetched to grade."""
        facts = self._manifest.settings.get(setting) or SettingFacts()
        model = facts.model
        if model not in self._tokenizers:
            directory = model_dir(model, revision=facts.revision, fetch=False)
            self._tokenizers[model] = tokens_of(directory) if directory else None
        tokens = self._tokenizers[model]
        if tokens is None:
            self._undecoded.add(setting)
        return tokens.decode(tuple(ids)) if tokens else None

    def warnings(self) -> Iterator[RunWarning]:
        """What is to be known of the grades made so far: settings whose derived texts could not be cut by tokens."""
        for setting in sorted(self._undecoded):
            model = self._manifest.settings[setting].model
            message = f"derived texts end at a chunk, not at the budget's token: no tokenizer of {model} is at hand"
            yield warn("cut_text_approximate", message, setting=setting)

    def _with_votes(self, grades: Sequence[Grade], failed: Sequence[RowKey]) -> Iterator[Grade]:
        """Single samples as they are; several of one problem with their classes, and the rows of their votes."""
        # The first is what was asked for last, as in options_of.
        samples = {item.method: item.samples for item in reversed(self._manifest.experiment.work)}
        yield from (grade for grade in grades if samples.get(grade.method, 1) == 1)
        for method in sorted({grade.method for grade in grades if samples.get(grade.method, 1) > 1}):
            mine = grouped(
                [grade for grade in grades if grade.method == method],
                self._problems,
                pool=self._pool,
                grader=self._grader,
            )
            yield from mine
            voters = with_failed(mine, (key for key in failed if key.method == method))
            if method == "vote":
                yield from vote_grades(voters, samples=samples[method])
            elif method == "best_of_n":
                options = options_of(self._manifest, method)
                asked = is_endpoint(options["scores"])
                scores = endpoint_scores(self._run) if asked else scores_of(Path(str(options["scores"])), mine)
                yield from best_of_n_grades(
                    voters,
                    scores,
                    weighted=bool(options.get("weighted")),
                    samples=samples[method],
                    partial=asked,
                )

    def grade_all(self) -> Iterator[Grade]:
        """Grades of every setting of the run."""
        for setting in self._manifest.settings:
            yield from self.grade(setting)

    def write(self) -> None:
        """Grade the whole run and replace ``grades.jsonl`` at once."""
        write_grades(self._run, self.grade_all())


def failed_samples(rows: Iterable[RequestRecord], *, hosted: bool) -> list[RowKey]:
    """The measured samples of which a call failed, by the key of their first call; not those that were not measured.

    hosted: whether the server is not ours.
    """
    calls: dict[RowKey, dict[int, str]] = {}
    for row in rows:
        if row.phase == "measured":
            ends = calls.setdefault(replace(row.key, call=0, attempt=0), {})
            if ends.get(row.call) != "answered":
                ends[row.call] = ending(row.error, row.finish_reason, hosted=hosted)
    return [key for key, ends in calls.items() if "failed" in ends.values() and "not_measured" not in ends.values()]


def write_grades(run: store.RunDir, grades: Iterable[Grade]) -> None:
    """Replace ``grades.jsonl``: a reader sees the old rows or the new ones."""
    scratch = run.grades.with_name(".grades.jsonl.new")
    scratch.unlink(missing_ok=True)
    with store.RowLog(scratch, private=run.private) as log:
        log.append(grades)
    scratch.replace(run.grades)


def _without_instants(row: RequestRecord, budgets: Mapping[str, Sequence[int]]) -> RequestRecord:
    """A row as grading reads it: whole timelines of a setting would take 56 bytes a token in memory.

    Token ids are kept where a budget cuts inside a chunk.
    """
    mine = budgets.get(row.method, ())
    timeline = cut_only_at(row.timeline, mine)
    inside = row.token_ids is not None and any(cut(timeline, budget).inside_chunk for budget in mine)
    return replace(row, timeline=timeline, token_ids=row.token_ids if inside else None)


def problems_of(manifest: Manifest) -> dict[str, Problem]:
    """The problems of a run, by id."""
    return {row.id: row for row in manifest.dataset.problems}


def derived_budgets(manifest: Manifest) -> dict[str, tuple[int, ...]]:
    """By method, the budgets that were cut out of the responses at the largest one."""
    found: dict[str, set[int]] = {}
    for item in manifest.experiment.work:
        found.setdefault(item.method, set()).update(item.derived_budgets)
    return {method: tuple(sorted(budgets)) for method, budgets in found.items() if budgets}


def options_of(manifest: Manifest, method: str) -> dict[str, Any]:
    """The options a method ran with."""
    return next((dict(item.options) for item in manifest.experiment.work if item.method == method), {})


def endpoint_scores(run: store.RunDir) -> dict[RowKey, float]:
    """What a reward model gave so far, by the key of the record. Raises RunError where several models did."""
    rows = [row for row in store.read_rows(run.scores, Score) if row.score is not None]
    if len({row.by for row in rows}) > 1:
        raise RunError(f"{run.scores} holds scores that were made in several ways: move it away and score anew")
    return {row.key: row.score for row in rows if row.score is not None}


def endpoint_options(manifest: Manifest) -> dict[str, Any] | None:
    """The options of a run whose responses a reward model scores; None for any other run."""
    options = {**METHODS["best_of_n"].options, **options_of(manifest, "best_of_n")}
    return options if is_endpoint(options["scores"]) else None


def scores_of(path: Path, grades: Sequence[Grade]) -> dict[RowKey, float]:
    """Scores from JSONL rows of ``{problem, sample, score}``, for every grade that has such a problem and sample.

    Raises UsageError where the file cannot be read.
    """
    try:
        rows = [msgspec.json.decode(line) for line in path.read_bytes().splitlines() if line.strip()]
        by_sample = {(str(row["problem"]), int(row["sample"])): float(row["score"]) for row in rows}
    except OSError as error:
        raise UsageError(f"cannot read the scores {path}: {error.strerror}") from error
    except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path}: each line must be an object with problem, sample and score ({error})") from error
    return {
        row_key(grade): by_sample[grade.problem, grade.sample]
        for grade in grades
        if grade.sample is not None and (grade.problem, grade.sample) in by_sample
    }
