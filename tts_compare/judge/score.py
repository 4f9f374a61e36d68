"""Records of ``best_of_n`` -> scores of a reward model, appended to ``scores.jsonl`` as they come.

What has a score is not asked about again, so that grading and reports need no network once scoring is done.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from time import monotonic
from typing import Any

from msgspec import structs

from tts_compare.domain import RequestRecord, Work
from tts_compare.domain.events import Emit, Said
from tts_compare.errors import RunError, UsageError
from tts_compare.grading.records import targets
from tts_compare.judge.judge import endpoint_options, problems_of
from tts_compare.limits.retry import RetryPolicy
from tts_compare.methods import METHODS
from tts_compare.methods.best_of_n import is_endpoint
from tts_compare.methods.model_files import chat_template
from tts_compare.reward import FORMS, ResponseToScore, ask_all, discover, open_client, root_of
from tts_compare.reward.forms import Render
from tts_compare.rundir import store
from tts_compare.rundir.manifest import Manifest
from tts_compare.rundir.scores import Score, Scorer

_METHOD = "best_of_n"
_TOLD_EVERY_S = 10.0


def with_scores(manifest: Manifest, scores: str, *, key_env: str = "") -> Manifest:
    """The manifest with the place where scores come from: a file, or a reward model's URL and the variable of its key.

    Raises UsageError where the run has no ``best_of_n``, or that cannot be used.
    """
    if all(item.method != _METHOD for item in manifest.experiment.work):
        raise UsageError("--scores is for a run with best_of_n, which this one is not")
    stated = {"scores": scores, "scores_api_key_env": key_env}
    work = tuple(_told(item, stated) if item.method == _METHOD else item for item in manifest.experiment.work)
    return structs.replace(manifest, experiment=structs.replace(manifest.experiment, work=work))


def _told(item: Work, stated: Mapping[str, str]) -> Work:
    """A work with other options. Raises UsageError where they cannot be used."""
    options = {**METHODS[_METHOD].options, **dict(item.options), **stated}
    METHODS[_METHOD].check(options)
    return replace(item, options=tuple(options.items()))


def key_of(options: Mapping[str, Any]) -> str | None:
    """The key for the reward model, None where it has none. Raises UsageError where its variable is not set."""
    variable = options["scores_api_key_env"]
    key = os.environ.get(variable) if variable else None
    if variable and not key:
        raise UsageError(f"scores_api_key_env: the variable {variable} is not set")
    return key


def is_asked_with_key(works: Iterable[Work]) -> bool:
    """Whether a reward model will be asked with a key. Raises UsageError where its variable is not set."""
    asked = [dict(item.options) for item in works if item.method == _METHOD]
    return any(key_of(options) for options in asked if is_endpoint(options["scores"]))


def unscored(run: store.RunDir, manifest: Manifest) -> list[ResponseToScore]:
    """The responses that have no score yet, with their problems, in the order of the records."""
    known = {row.key for row in _scores(run) if row.score is not None}
    return [question for question in _questions(run, manifest) if question.key not in known]


async def score_run(
    run: store.RunDir,
    manifest: Manifest,
    *,
    private: bool = False,
    insecure: bool = False,
    tell: Emit | None = None,
    patience: RetryPolicy | None = None,
) -> None:
    """Ask the reward model about every response that has no score yet; nothing for a run without one.

    Raises RunError, in one line with what to try, where it cannot be asked; the scores that came in are kept.
    """
    options = endpoint_options(manifest)
    questions = unscored(run, manifest) if options else []
    if not options or not questions:
        return
    key = key_of(options)
    before = [row for row in _scores(run) if row.score is not None]
    root, key_env, secrets = root_of(options["scores"]), options["scores_api_key_env"], (key,) if key else ()
    async with open_client(root, key, insecure=insecure) as client:
        model, api = await discover(
            client,
            root,
            model=options["scores_model"],
            api=options["scores_api"],
            key_env=key_env,
            secrets=secrets,
        )
        scorer = Scorer(
            model=model,
            api=api,
            reduce=options["scores_reduce"],
            step=options["scores_step"],
            activation=options["scores_activation"],
        )
        _check_same(before, scorer, run)
        with store.RowLog(run.scores, private=private or key is not None or run.private) as log:
            progress = _Telling(tell, len(questions), model)

            def keep(row: Score) -> None:
                log.append([row])
                progress.one_more()

            await ask_all(
                questions,
                client,
                root=root,
                scorer=scorer,
                keep=keep,
                concurrency=options["scores_concurrency"],
                known=len(before),
                key_env=key_env,
                secrets=secrets,
                render=_render(scorer),
                patience=patience,
            )


def _questions(run: store.RunDir, manifest: Manifest) -> Iterator[ResponseToScore]:
    """Every successful sample as it is graded: cut where grading cuts it, without reasoning told apart from a text."""
    problems, stop_at = problems_of(manifest), manifest.prompt.stop_at
    rows = [row for row in store.read_rows(run.records, RequestRecord) if row.method == _METHOD]
    for target in targets(rows, problems, stop_at=stop_at):
        record = target.record
        text = record.text or record.reasoning
        yield ResponseToScore(
            key=record.key,
            problem=problems[record.problem].problem,
            response=text.partition(stop_at)[0] if stop_at else text,
        )


def _scores(run: store.RunDir) -> Iterable[Score]:
    return store.read_rows(run.scores, Score)


def _check_same(before: list[Score], scorer: Scorer, run: store.RunDir) -> None:
    other = next((row.by for row in before if row.by != scorer), None)
    if other is not None:
        raise RunError(
            f"scores: {run.scores} holds scores of {_said(other)}, and these would be of {_said(scorer)}: "
            "state that one, or move the file away to score all anew"
        )


def _said(scorer: Scorer) -> str:
    step = f", step {scorer.step!r}" if scorer.step else ""
    raw = "" if scorer.activation else ", without activation"
    return f"{scorer.model} ({scorer.api}, {scorer.reduce}{step}{raw})"


def _render(scorer: Scorer) -> Render | None:
    """The reward model's own chat template, where the endpoint takes a text."""
    if not FORMS[scorer.api].needs_template:
        return None
    try:
        template = chat_template(scorer.model)
    except UsageError as error:
        raise RunError(
            f"scores: the chat template of {scorer.model} was not found: name the reward model's directory, "
            "or its name on the hub, in scores_model"
        ) from error
    return lambda messages: template.render(messages, generation_prompt=False)


class _Telling:
    """A line now and then while many responses are scored."""

    def __init__(self, tell: Emit | None, total: int, model: str) -> None:
        self._tell, self._total, self._model = tell, total, model
        self._done, self._next_s = 0, 0.0

    def one_more(self) -> None:
        self._done += 1
        if self._tell is None or (monotonic() < self._next_s and self._done < self._total):
            return
        self._next_s = monotonic() + _TOLD_EVERY_S
        self._tell(Said(text=f"scored {self._done} of {self._total} responses by {self._model}", at_s=monotonic()))
