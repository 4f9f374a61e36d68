"""One point on a running server: warm up, empty its prefix cache, read its counters, replay, read them again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from msgspec import structs

from tts_compare import client as timed
from tts_compare.analysis.findings.telemetry_warnings import energy_warning
from tts_compare.backends import BACKENDS
from tts_compare.client.scrape import Counters, changes, scrape
from tts_compare.codes import warn
from tts_compare.domain import Call, RequestError, RequestRecord, RowKey
from tts_compare.launchers.energy import used_j
from tts_compare.limits.pacing import Concurrent, parse_load
from tts_compare.machine.telemetry.power import integrated_j
from tts_compare.measure.counters import contradictions, figures, ttft_growth
from tts_compare.measure.negotiate import negotiated
from tts_compare.measure.prefix import block_told, prefix_figures
from tts_compare.measure.refusal import check_access
from tts_compare.measure.remaining import Remaining
from tts_compare.measure.replay import Replay, Send, replay
from tts_compare.measure.session import ServerSession
from tts_compare.measure.tasks import Point, tasks_of, warm_up_problems
from tts_compare.measure.writer import RunWriter, light
from tts_compare.methods import method_named
from tts_compare.methods.prompting import Prompting
from tts_compare.rundir.metrics import ClientFigures, PointMetrics, PrefixFigures, ServerFigures

WARM_UP_TOKENS = 32


def warm_up_calls(points: Sequence[Point], prompting: Prompting) -> tuple[tuple[Call, RowKey], ...]:
    """Requests that are not among the problems, two more than the loads will have at once.

    They are the first method's first call, so the path that is warm is the one that is measured.
    """
    works = [point.work for point in points]
    width = max((load.n for work in works if isinstance(load := parse_load(work.load), Concurrent)), default=1)
    budget = max(1, min(WARM_UP_TOKENS, *(work.budget for work in works)))
    short = replace(works[0], budget=budget, samples=method_named(works[0].method).least_samples, spot_check=False)
    point = replace(points[0], work=short)
    tasks = [(next(task.start())[0], task.key) for task in tasks_of(point, warm_up_problems(width + 2), prompting)]
    return tuple((replace(call, max_tokens=min(call.max_tokens, _most(call))), key) for call, key in tasks)


def _most(call: Call) -> int:
    """Tokens of a warm-up request: a method that adds an answer to its budget warms up no longer than others."""
    return WARM_UP_TOKENS + (len(call.thinking.end.encode()) if call.thinking else 0)


async def warm_up(session: ServerSession, calls: Sequence[tuple[Call, RowKey]], writer: RunWriter) -> ServerSession:
    """Send them, the most at once that the loads will: first requests are slow.

    Returns the session as it is to be used: a hosted endpoint's refusals of single fields are learnt here. Raises
    BudgetReachedError, and RefusedError where the endpoint refuses the key or the model.
    """
    first, *others = calls
    session = await negotiated(session, *first, writer)
    send = session.sender("warmup", writer)

    async def one(call: Call, key: RowKey) -> RequestError | None:
        async with session.limiter(call):
            rows = await send(call, key, scheduled_ns=None)
        writer.append(rows)
        session.limiter.account(rows)
        return rows[0].error

    for batch in (others[:1], others[1:]):
        for error in await asyncio.gather(*(one(call, key) for call, key in batch)):
            check_access(error, session.setting)
    return session


async def run_point(
    session: ServerSession,
    left: Remaining,
    prompting: Prompting,
    writer: RunWriter,
    *,
    emit: Callable[[tuple[RequestRecord, ...]], None],
    warm: Sequence[Call] = (),
) -> None:
    """Do what is missing of one point; every attempt is a row before the next begins.

    warm: prompts of the warm-up, which are in the prefix cache where it cannot be emptied. Raises ServerGoneError when
    the server died, BudgetReachedError when the spending is empty.
    """
    point = left.point
    seed = point.work.sampling.seed
    if not left.tasks:
        return
    flushed = await _flush(session, writer)
    before = await _counters(session)
    energy, begun_ns = session.server.energy(), time.monotonic_ns()
    sent: list[RequestRecord] = []
    calls: dict[str, Call] = {}

    def keep(rows: tuple[RequestRecord, ...]) -> None:
        writer.append(rows)
        session.limiter.account(rows)
        sent.extend(light(row) for row in rows)
        emit(rows)

    limiter: Callable[[Call], AbstractAsyncContextManager[int]] = session.limiter
    send: Send = session.sender(point.phase, writer)
    if session.setting.prefix_caching:
        send = _remembering(send, calls)
    how = Replay(
        send=send, emit=keep, died=session.died, gone_by=session.gone_by, limiter=limiter, known=left.known, seed=seed
    )
    async with timed.watch() as probe:
        await replay(left.tasks, load=parse_load(point.work.load, seed=seed), how=how)
    energy_j, ended_ns = used_j(energy, session.server.energy()), time.monotonic_ns()
    rows = await asyncio.to_thread(session.sampler.rows, begun_ns, ended_ns) if session.sampler else ()
    power_j = integrated_j(rows, begun_ns, ended_ns)
    after = await _counters(session)
    seen = figures(before, after, session.backend.metrics)
    others = await session.workers.figures() if session.workers else ()
    audit = probe.audit(sent, server_ttft_s=ttft_growth(before, after, session.backend.metrics), others=others)
    told = block_told(after, session.backend.metrics)
    # Long prompts take seconds to tokenise, and servers of other settings may be timed meanwhile.
    prefix = await asyncio.to_thread(
        prefix_figures,
        sent,
        calls,
        caching=session.setting.prefix_caching or not session.backend.launched,  # a hosted cache is its owner's
        tokenization=prompting.tokenization,
        block_tokens=told or session.backend.block_tokens(session.setting),
        hit_tokens=seen.prefix_hits,
        before=() if flushed else warm,
    )
    row = metrics_row(point, seen, prefix, audit, energy_j, attempts=len(sent), session=writer.session)
    row = structs.replace(row, power_j=power_j)
    writer.add_metrics(point.setting, row)
    about = {name: getattr(row, name) for name in ("method", "budget", "load", "repeat", "round", "session", "phase")}
    if after is not None:
        writer.keep_metrics(point.setting, {**about, "samples": changes(before, after)})
    writer.warn(contradictions(seen, sent, point.setting))
    writer.warn(timed.audit_warnings(audit, setting=point.setting))
    if (disagrees := energy_warning(energy_j, power_j, setting=point.setting)) is not None:
        writer.warn([disagrees])


def _remembering(post: Send, calls: dict[str, Call]) -> Send:
    """Sends, and keeps by request id a call of that prompt, one for all samples: rows do not hold their prompts."""
    once: dict[object, Call] = {}

    async def send(call: Call, key: RowKey, *, scheduled_ns: int | None) -> tuple[RequestRecord, ...]:
        rows = await post(call, key, scheduled_ns=scheduled_ns)
        alike = once.setdefault((call.messages, call.prompt, call.prompt_token_ids), call)
        calls.update((row.request_id, alike) for row in rows)
        return rows

    return send


def metrics_row(
    point: Point,
    seen: ServerFigures,
    prefix: PrefixFigures,
    audit: ClientFigures,
    energy_j: float | None,
    *,
    attempts: int,
    session: int = 0,
) -> PointMetrics:
    """One point's counters for the manifest; the names on top are those the analysis sums over repeats.

    attempts: rows of ``records.jsonl`` that they cover; a stretch that was killed leaves rows and no counters.
    """
    return PointMetrics(
        method=point.work.method,
        budget=point.work.budget,
        load=point.work.load,
        repeat=point.repeat,
        round=point.round,
        session=session,
        phase=point.phase,
        attempts=attempts,
        energy_j=energy_j,
        accepted_tokens=seen.accepted_tokens,
        draft_steps=seen.drafts,
        prefix_hit_tokens=seen.prefix_hits,
        prefix_expected_tokens=prefix.expected_tokens,
        prefix=prefix,
        server=seen,
        client=audit,
    )


async def _counters(session: ServerSession) -> Counters | None:
    path = session.backend.metrics_path
    return await scrape(session.client, session.root(path)) if path else None


async def _flush(session: ServerSession, writer: RunWriter) -> bool:
    """Empty the prefix cache, so that no point finds another's prompts; a server that does not is doubted.

    Returns whether the server says that it did.
    """
    import httpx

    path = BACKENDS[session.setting.backend].flush_path
    if path is None or not session.setting.prefix_caching:
        return False
    try:
        answer = await session.client.post(session.root(path), timeout=30.0)
        done = answer.status_code == 200
    except httpx.HTTPError:
        done = False
    if not done:
        writer.warn(
            [
                warn(
                    "prefix_cache_not_flushed",
                    setting=session.setting.id,
                )
            ]
        )
    return done
