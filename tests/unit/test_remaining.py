"""What is left of a point, and the rows of what could not be sent because no server was left."""

from __future__ import annotations

from pathlib import Path

from tests.standin import model_directory
from tts_compare.config import load_experiment
from tts_compare.domain import RequestRecord
from tts_compare.measure.remaining import Remaining, never_sent, remaining
from tts_compare.measure.tasks import Point
from tts_compare.plan.prepare import Prepared, prepare


def prepared(home: Path, **given: object) -> Prepared:
    stated = {"backend": "vllm", "model": str(model_directory(home)), "dataset": "quickstart", "budget": "8"}
    return prepare(load_experiment(None, stated | given, environ={}), fetch=False)


def left_of(made: Prepared, records: list[RequestRecord], *, number: int = 0, session: int = 0) -> Remaining:
    setting = made.settings[0]
    point = Point(setting=setting.id, work=made.work[0], round=number)
    return remaining(point, made, records, session=session, hosted=False, model=setting.model)


def test_a_round_is_left_its_own_share_of_the_problems(tmp_path: Path) -> None:
    made = prepared(tmp_path, rounds="3")
    shares = [{task.key.problem for task in left_of(made, [], number=number).tasks} for number in range(3)]
    assert [len(share) for share in shares] == [17, 16, 16]
    assert len(set.union(*shares)) == 49


def test_what_was_never_sent_is_a_failed_row_for_every_call_and_is_done_with(tmp_path: Path) -> None:
    made = prepared(tmp_path, problems="4", method="vote", samples="3", temperature="0.7")
    rows = [row for own in never_sent(left_of(made, []), cause="exit 1", session=2) for row in own]
    assert len({row.key for row in rows}) == len(rows) == 4 * 3
    for row in rows:
        assert row.error is not None
        assert (row.error.kind, row.error.message, row.sent_ns) == ("server_died", "never sent: exit 1", None)
        assert (row.session, row.attempt) == (2, 0)
    assert left_of(made, rows).tasks == ()


def test_choices_of_one_request_that_was_never_sent_share_its_id(tmp_path: Path) -> None:
    options = {"vote": {"requests": "one"}}
    made = prepared(tmp_path, problems="2", method="vote", samples="3", temperature="0.7", method_options=options)
    batches = list(never_sent(left_of(made, []), cause="c", session=0))
    assert [len(rows) for rows in batches] == [3, 3]
    assert [len({row.request_id for row in rows}) for rows in batches] == [1, 1]


def test_failed_calls_are_sent_again_on_request_as_their_next_attempt(tmp_path: Path) -> None:
    made = prepared(tmp_path, problems="2", retry_failed=True, resume=str(tmp_path))
    rows = [row for own in never_sent(left_of(made, []), cause="c", session=0) for row in own]
    again = left_of(made, rows, session=1)
    assert len(again.tasks) == 2
    more = [row for own in never_sent(again, cause="c", session=1) for row in own]
    assert {row.attempt for row in more} == {1}
    assert left_of(made, rows + more, session=1).tasks == ()
