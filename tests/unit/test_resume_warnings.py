"""What a resumed run says of itself: models that it did not have, and failures that were sent again."""

from __future__ import annotations

from pathlib import Path

from tests import builders
from tests.builders import manifest
from tts_compare.domain import RequestError, RequestRecord, Setting
from tts_compare.judge.judge import Judge
from tts_compare.measure.again import resume_warnings, retried_warnings
from tts_compare.rundir import store

SETTING = "vllm/m/tp1-pp1-dp1/none"


def row(problem: str, attempt: int, session: int, *, error: RequestError | None = None) -> RequestRecord:
    return builders.record(
        setting=SETTING,
        budget=16,
        problem=problem,
        attempt=attempt,
        request_id=f"{problem}-{attempt}",
        session=session,
        finish_reason=None if error else "stop",
        error=error,
    )


BROKEN = RequestError(kind="http_5xx", status=500, message="CUDA error")
CANCELLED = RequestError(kind="cancelled", message="interrupted")


def test_failures_that_are_sent_again_are_counted_with_what_became_of_them() -> None:
    rows = [
        row("a", 0, 0),
        row("b", 0, 0, error=BROKEN),
        row("c", 0, 0, error=BROKEN),
        row("b", 1, 1, error=BROKEN),
        row("b", 2, 1),
        row("c", 1, 1, error=BROKEN),
    ]
    (warning,) = retried_warnings(rows, session=1, hosted=())
    assert (warning.code, warning.severity, warning.setting) == ("retried_failed", "note", SETTING)
    assert warning.message == (
        "session 2 sent 2 failed requests again, of which 1 were answered: the failed attempts stay in the time and "
        "the cost"
    )


def test_what_was_not_measured_or_was_cured_before_is_no_failure_sent_again() -> None:
    interrupted = [row("a", 0, 0, error=CANCELLED), row("a", 1, 1)]
    cured = [row("b", 0, 0, error=BROKEN), row("b", 1, 0), row("c", 0, 1, error=BROKEN), row("c", 1, 1)]
    assert list(retried_warnings([*interrupted, *cured], session=1, hosted=())) == []


def test_a_model_that_a_resumed_run_did_not_have_is_named() -> None:
    old = manifest(settings={SETTING: {"model": "m"}})
    (warning,) = resume_warnings(old, [Setting(backend="vllm", model="m"), Setting(backend="vllm", model="other")])
    assert warning.code == "resumed_other_model"
    assert warning.message == "the run was resumed with other: it holds settings of m too"
    assert list(resume_warnings(old, [Setting(backend="sglang", model="m")])) == []


def test_texts_that_no_tokenizer_is_at_hand_for_are_told_by_whoever_grades(tmp_path: Path) -> None:
    facts = {"model": "nobody/no-such-model", "revision": None}
    with Judge(store.RunDir(tmp_path), manifest(settings={SETTING: facts}), policy="any") as judge:
        assert list(judge.warnings()) == []
        assert judge._decode(SETTING, (1, 2)) is None
        (warning,) = judge.warnings()
    assert (warning.code, warning.setting) == ("cut_text_approximate", SETTING)
    assert "no tokenizer of nobody/no-such-model is at hand" in warning.message
