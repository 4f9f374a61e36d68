"""A run that goes on: events -> state -> what is shown."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from tts_compare.domain import RunWarning
from tts_compare.domain.events import (
    AnswerBegun,
    Event,
    Graded,
    Planned,
    RequestDone,
    RequestEnded,
    RequestSent,
    Restarted,
    Said,
    ServerReady,
    SettingDone,
    SettingFailed,
    SettingSkipped,
    SettingStarted,
    Warned,
)
from tts_compare.reports import live
from tts_compare.reports.progress import Progress

A, B, C = "vllm/m/tp1-pp1-dp1/none", "vllm/m/tp1-pp1-dp1/ngram", "sglang/m/tp1-pp1-dp1/ngram"


def told() -> list[Event]:
    """A is done (4 requests, 1 failed), C skipped, B under way (2 of 4)."""
    events: list[Event] = [Planned(settings=((A, 4), (B, 4), (C, 4)), at_s=0.0)]
    events.append(SettingSkipped(setting=C, reason="needs a GPU", at_s=0.0))
    events += [SettingStarted(setting=A, at_s=1.0), ServerReady(setting=A, at_s=11.0)]
    events += [
        RequestDone(setting=A, ok=i != 2, latency_s=2.0, completion_tokens=100, at_s=13.0 + 2 * i) for i in range(4)
    ]
    events += [Graded(setting=A, correct=i == 0, at_s=19.0) for i in range(3)]
    events += [
        SettingDone(setting=A, at_s=20.0),
        SettingStarted(setting=B, at_s=21.0),
        ServerReady(setting=B, at_s=31.0),
    ]
    events += [RequestDone(setting=B, ok=True, latency_s=1.0, completion_tokens=100, at_s=32.0 + i) for i in range(2)]
    return events


def after(events: Iterable[Event]) -> Progress:
    """The state."""
    state = Progress()
    for event in events:
        state = state.apply(event)
    return state


def test_counts_rates_and_accuracy_follow_from_the_events() -> None:
    """Latency over successes; tokens a second since readiness; accuracy over what is graded."""
    a, b, c = after(told()).rows
    assert (a.state, a.done, a.failed, a.latency_mean_s) == ("done", 4, 1, 2.0)
    assert a.accuracy == pytest.approx(1 / 3)
    assert (b.state, b.done) == ("running", 2)
    assert b.tokens_per_s(41.0) == pytest.approx(200 / 10)
    assert (c.state, c.note) == ("skipped", "needs a GPU")


def test_the_time_left_counts_starts_and_not_what_will_not_run() -> None:
    """B: 2 requests at its own pace of 1 s; C is skipped; nothing known, nothing said."""
    state = after(told())
    assert state.remaining_s(33.0) == pytest.approx(2 * (33.0 - 31.0) / 2)
    assert after(told()[:4]).remaining_s(11.0) is None
    before_b = after(told()[:-6])
    assert before_b.remaining_s(19.0) == pytest.approx((8.0 / 4) * 4 + 10.0, rel=0.3)
    assert state.planned == 8


def test_every_start_that_is_planned_is_in_the_time_left() -> None:
    """Three starts a setting of 10 s each, and 2 requests of 1 s in each; A has had one, B is in its first."""
    events: list[Event] = [Planned(settings=((A, 6), (B, 6)), starts=(3, 3), at_s=0.0)]
    events += [SettingStarted(setting=A, at_s=0.0), ServerReady(setting=A, at_s=10.0)]
    events += [RequestDone(setting=A, ok=True, latency_s=1.0, at_s=11.0 + i) for i in range(2)]
    events += [SettingDone(setting=A, at_s=12.0)]
    assert after(events).rows[0].state == "waiting"
    assert after(events).remaining_s(12.0) == pytest.approx((2 * 10 + 4 * 1) + (3 * 10 + 6 * 1))
    events += [SettingStarted(setting=B, at_s=12.0)]
    assert after(events).remaining_s(16.0) == pytest.approx((2 * 10 + 4) + (6 + 2 * 10 + 6))
    assert after(events).rows[0].tokens_per_s(100.0) is None
    again = [*events, ServerReady(setting=B, at_s=20.0), Restarted(setting=B, cause="died", at_s=21.0)]
    again += [SettingStarted(setting=B, at_s=21.0)]
    assert after(again).rows[1].starts_left == 2
    side_by_side = [Planned(settings=((A, 6), (B, 6)), starts=(3, 3), lanes=2, at_s=0.0), *events[1:]]
    assert after(side_by_side).remaining_s(16.0) == pytest.approx(32.0)


def test_tokens_a_second_are_of_the_seconds_in_which_a_server_was_ready() -> None:
    """Two starts that served 4 s each, and another setting between them."""
    events: list[Event] = [Planned(settings=((A, 4), (B, 2)), starts=(2, 1), at_s=0.0)]
    for begun in (0.0, 100.0):
        events += [SettingStarted(setting=A, at_s=begun), ServerReady(setting=A, at_s=begun + 10)]
        events += [
            RequestDone(setting=A, ok=True, latency_s=2.0, completion_tokens=100, at_s=begun + 12 + 2 * i)
            for i in range(2)
        ]
        events += [SettingDone(setting=A, at_s=begun + 14)]
    (a, _) = after(events).rows
    assert a.state == "done"
    assert a.tokens_per_s(200.0) == pytest.approx(400 / 8)


def test_requests_under_way_are_told_with_their_age_and_whether_a_token_has_come() -> None:
    """Of a worker process it is not known, and not said."""
    events: list[Event] = [Planned(settings=((A, 4),), at_s=0.0), SettingStarted(setting=A, at_s=0.0)]
    events += [ServerReady(setting=A, at_s=1.0), RequestSent(setting=A, request=7, at_s=2.0)]
    assert "1 in flight, 48 s, no token yet" in live.say_progress(after(events), now_s=50.0)
    begun = [*events, AnswerBegun(setting=A, request=7, at_s=40.0)]
    assert "1 in flight, 48 s" in live.say_progress(after(begun), now_s=50.0)
    assert "no token yet" not in live.say_progress(after(begun), now_s=50.0)
    two = [*begun, RequestSent(setting=A, request=8, at_s=45.0)]
    assert "2 in flight, the oldest 48 s, 1 without a token yet" in live.say_progress(after(two), now_s=50.0)
    ended = [*two, RequestEnded(setting=A, request=7, at_s=46.0), RequestEnded(setting=A, request=8, at_s=46.0)]
    assert "in flight" not in live.say_progress(after(ended), now_s=50.0)
    hidden = [*events[:3], RequestSent(setting=A, request=7, at_s=2.0, followed=False)]
    assert live.say_progress(after(hidden), now_s=50.0).count("no token yet") == 0
    died = [*two, Restarted(setting=A, cause="died", at_s=47.0)]
    assert after(died).in_flight == ()


def test_whoever_emits_waits_for_no_terminal() -> None:
    """A terminal that takes no byte, or a pipe that nobody reads, may delay no stamp."""
    free = threading.Event()

    class Stuck(io.StringIO):
        def write(self, text: str) -> int:
            assert free.wait(30)
            return len(text)

    with live.watch(Console(file=Stuck(), force_terminal=False)) as emit:
        for event in told():
            emit(event)
        free.set()  # reached only because no emit waited


def test_a_state_is_never_changed() -> None:
    """Reducing is pure: the state before stays what it was."""
    events = told()
    states = [Progress()]
    for event in events:
        states.append(states[-1].apply(event))
    assert states[0] == Progress()
    assert [after(events[:i]) for i in range(len(events) + 1)] == states


settings = st.sampled_from([A, B, C, "unplanned"])
at = st.floats(0, 1e6)
anything = st.lists(
    st.one_of(
        st.builds(SettingStarted, setting=settings, at_s=at),
        st.builds(ServerReady, setting=settings, at_s=at),
        st.builds(RequestSent, setting=settings, request=st.integers(0, 3), at_s=at, followed=st.booleans()),
        st.builds(AnswerBegun, setting=settings, request=st.integers(0, 3), at_s=at),
        st.builds(RequestEnded, setting=settings, request=st.integers(0, 3), at_s=at),
        st.builds(RequestDone, setting=settings, ok=st.booleans(), at_s=at, completion_tokens=st.integers(0, 99)),
        st.builds(Graded, setting=settings, correct=st.booleans(), at_s=at),
        st.builds(SettingDone, setting=settings, at_s=at),
        st.builds(SettingFailed, setting=settings, cause=st.text(), at_s=at),
        st.builds(Restarted, setting=settings, cause=st.text(), at_s=at),
        st.builds(Said, text=st.text(), at_s=at),
        st.builds(Planned, settings=st.just(((A, 3), (B, 3))), at_s=at),
    ),
    max_size=30,
)


@given(anything, st.integers(40, 200))
def test_any_order_of_events_can_be_shown_within_the_terminal(events: list[Event], width: int) -> None:
    """Events out of order, of unplanned settings, with any text: drawn, within the width, nothing steered."""
    state = after(events)
    out = io.StringIO()
    console = Console(file=out, width=width, no_color=True, color_system=None)
    console.print(live.draw_progress(state, now_s=1e6, width=width, height=20))
    shown = out.getvalue()
    assert max(map(cell_len, shown.splitlines()), default=0) <= width, "in columns: a combining mark has none"
    assert "\x1b" not in shown
    assert "\n" not in live.say_progress(state, now_s=1e6)


def test_without_a_terminal_there_is_a_line_for_what_happens_and_one_a_minute() -> None:
    """By the events' clock, so that a log can be followed and does not grow with the requests."""
    out = io.StringIO()
    with live.watch(Console(file=out, width=40, force_terminal=False), clock=lambda: 0.0) as emit:
        emit(Planned(settings=((A, 1000),), at_s=0.0))
        emit(SettingStarted(setting=A, at_s=0.0))
        emit(ServerReady(setting=A, at_s=1.0))
        for i in range(180):
            emit(RequestDone(setting=A, ok=True, at_s=2.0 + i, latency_s=1.0, completion_tokens=10))
        emit(Warned(warning=RunWarning(code="x", message="clock was set"), at_s=200.0))
    lines = out.getvalue().splitlines()
    assert sum("of 1000 requests" in line for line in lines) == 3
    assert lines[:2] == [f"starting {A}", f"ready: {A}"]
    assert lines[-1] == "warning: clock was set"
    assert len(lines) == 6


def test_a_line_comes_also_while_nothing_happens() -> None:
    """A server that takes long to start is not silence."""
    out = io.StringIO()
    shown = threading.Event()

    class Heard(io.StringIO):
        def write(self, text: str) -> int:
            if "0 of 4 requests" in text:
                shown.set()
            return out.write(text)

    with live.watch(Console(file=Heard(), force_terminal=False), line_every_s=0.01) as emit:
        emit(Planned(settings=((A, 4),), at_s=time.monotonic()))
        emit(SettingStarted(setting=A, at_s=time.monotonic()))
        assert shown.wait(30)


def test_quiet_says_nothing_but_failures() -> None:
    """One line, with the cause."""
    out = io.StringIO()
    with live.watch(Console(file=out, force_terminal=False), quiet=True) as emit:
        for event in told():
            emit(event)
        emit(SettingFailed(setting=B, cause="\x1b[31mno memory", log="b.log", at_s=40.0))
    assert out.getvalue() == f"failed: {B}: \\x1b[31mno memory (log: b.log)\n"


def test_a_terminal_gets_a_table_of_all_settings() -> None:
    """Drawn at least once, at the end, with the figures of the end; NO_COLOR removes the colours."""
    out = io.StringIO()
    console = Console(file=out, width=100, height=30, force_terminal=True, no_color=True)
    with live.watch(console, clock=lambda: 34.0) as emit:
        for event in told():
            emit(event)
    shown = out.getvalue()
    assert "\x1b[31m" not in shown
    for word in ("vllm none", "vllm ngram", "skipped", "4/4", "2/4", "33% of 3"):
        assert word in shown, word


def test_a_terminal_without_unicode_is_sent_ascii_alone() -> None:
    """Table and lines, whatever a server says."""
    for terminal in (True, False):
        raw = io.BytesIO()
        out = io.TextIOWrapper(raw, encoding="ascii")
        console = Console(file=out, width=90, height=30, force_terminal=terminal, color_system=None)
        with live.watch(console, clock=lambda: 34.0) as emit:
            for event in [*told(), Said(text="数学 ± µ", at_s=34.0)]:
                emit(event)
        out.flush()
        assert b"vllm" in raw.getvalue()


@pytest.mark.parametrize("width", [66, 80, 100])
def test_no_figure_is_cut_and_words_use_the_table_s_names(width: int) -> None:
    """399/1500 must not become 399/15: long names and states give way."""
    setting, other = (f"vllm/a-model-with-a-long-name/tp1-pp1-dp1/{spec}" for spec in ("none", "ngram"))
    done = [RequestDone(setting=setting, ok=True, at_s=9.0, latency_s=12.3, completion_tokens=3000)] * 399
    graded = [Graded(setting=setting, correct=True, at_s=9.0)] * 399
    started: list[Event] = [SettingStarted(setting=setting, at_s=0.0), ServerReady(setting=setting, at_s=1.0)]
    restarted = Restarted(setting=setting, cause="it died", at_s=9.0)
    planned = Planned(settings=((setting, 1500), (other, 1500)), at_s=0.0)
    out = io.StringIO()
    state = after([planned, *started, *done, *graded, restarted])
    Console(file=out, width=width).print(live.draw_progress(state, now_s=10.0, width=width))
    for figure in ("399/1500", "12.3", "100% of 399"):
        assert figure in out.getvalue()
    assert "starting vllm none again: it died" in out.getvalue()


def test_more_settings_than_lines_show_those_around_the_running_one() -> None:
    """And how many are not shown."""
    names = [f"vllm/m-{i}b/tp1-pp1-dp1/none" for i in range(40)]
    state = after(
        [Planned(settings=tuple((n, 1) for n in names), at_s=0.0), SettingStarted(setting=names[25], at_s=0.0)]
    )
    out = io.StringIO()
    Console(file=out, width=100).print(live.draw_progress(state, now_s=1.0, width=100, height=20))
    assert "vllm m-25b" in out.getvalue()
    assert "27 more settings" in out.getvalue()
    assert len(out.getvalue().splitlines()) <= 20
