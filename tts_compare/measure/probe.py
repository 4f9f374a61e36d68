"""Whether a server obeys a control of thinking, asked while warming up: equal prompts, and a budget of one token."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tts_compare.codes import warn
from tts_compare.domain import Call, Phase, RequestRecord, RowKey, RunWarning, Thinking, Work
from tts_compare.measure.refusal import check_control
from tts_compare.measure.session import ServerSession
from tts_compare.measure.tasks import Point, tasks_of, warm_up_problems
from tts_compare.measure.writer import RunWriter
from tts_compare.methods import method_named
from tts_compare.methods.prompting import Prompting

_PHASE: Phase = "warmup"
#: Tokens that a probe generates: enough for a thinking of one token to be ended and its end to be seen.
_PROBE_TOKENS = 24


def probe_calls(points: Sequence[Point], prompting: Prompting) -> tuple[tuple[Call, RowKey], ...]:
    """The first call of each control, of the same short problem; budgets are probed by one token."""
    seen: dict[tuple[object, ...], tuple[Call, RowKey]] = {}
    for point in points:
        work = _probing(point.work)
        (task,) = tasks_of(replace(point, work=work), warm_up_problems(1), prompting)
        call = next(task.start())[0]
        thinking = call.thinking
        if thinking is None:
            continue
        known = (thinking.budget is not None, thinking.effort, thinking.enabled, thinking.end)
        seen.setdefault(known, (replace(call, max_tokens=min(call.max_tokens, _most(thinking))), task.key))
    return tuple(seen.values())


def _probing(work: Work) -> Work:
    thinking = method_named(work.method).control(work.budget, dict(work.options), None)
    bounded = thinking is not None and thinking.budget is not None
    one = replace(work, samples=method_named(work.method).least_samples, spot_check=False, problem_limit=None)
    return replace(one, budget=1) if bounded else replace(one, budget=max(1, work.budget))


def _most(thinking: Thinking) -> int:
    return _PROBE_TOKENS + len(thinking.end.encode())


async def probe(session: ServerSession, calls: Sequence[tuple[Call, RowKey]], writer: RunWriter) -> None:
    """Send each control once, and warn of what is not obeyed. Raises RefusedError where a control is refused by name.

    Prompts are compared by their token ids where the server tells them, else by their number of tokens. Of a hosted
    endpoint's prompts nothing can be concluded.
    """
    send = session.sender(_PHASE, writer)
    rows: dict[Thinking, RequestRecord] = {}
    prompts: dict[Thinking, object] = {}
    for number, (call, key) in enumerate(calls):
        thinking = call.thinking
        if thinking is None:
            continue
        named = replace(key, problem=f"probe-{number}")
        async with session.limiter(call):
            found = await send(call, named, scheduled_ns=None)
        writer.append(found)
        session.limiter.account(found)
        check_control(found[0].error, fields_of(session, thinking))
        rows[thinking] = found[0]
        if thinking.budget is None and not session.setting.hosted:
            prompts[thinking] = await _prompt_ids(session, call) or found[0].prompt_tokens
    writer.warn(_budgets_ignored(rows, session.setting.id))
    writer.warn(_equal_prompts(prompts, session.setting.id))
    hosted = [thinking.name for thinking in rows if session.setting.hosted]
    if hosted:
        writer.warn(
            [warn("control_unchecked", f"{', '.join(hosted)}: asked for, not enforced", setting=session.setting.id)]
        )


def fields_of(session: ServerSession, thinking: Thinking) -> Mapping[str, Any]:
    """The fields by which the session's engine is asked."""
    controls = session.backend.controls
    return controls.fields(thinking, session.setting) if controls else {}


async def _prompt_ids(session: ServerSession, call: Call) -> object:
    """Token ids of a prompt as the server rendered it, by a whole answer of one token; None where it does not say."""
    import httpx

    path, body = session.request(replace(call, max_tokens=1))
    body = {name: value for name, value in body.items() if name != "stream_options"}
    try:
        answer = await session.client.post(
            path.lstrip("/"), json={**body, "stream": False, "return_token_ids": True}, timeout=60.0
        )
        found = answer.json() if answer.status_code == 200 else {}
        ids = found.get("prompt_token_ids") or (found.get("choices") or [{}])[0].get("prompt_token_ids")
    except (httpx.HTTPError, ValueError, AttributeError, IndexError):
        return None
    return tuple(ids) if isinstance(ids, list) and ids else None


def _budgets_ignored(rows: Mapping[Thinking, RequestRecord], setting: str) -> Iterator[RunWarning]:
    for thinking, row in rows.items():
        if thinking.budget is None or not row.ok:
            continue
        if {"thinking_over_budget", "thinking_not_seen"} & set(row.doubts):
            seen = "no thinking was seen" if row.thinking_tokens is None else f"it thought {row.thinking_tokens} tokens"
            message = f"asked for {thinking.name}, {seen}: the control does nothing"
            yield warn("control_ignored", message, setting=setting)


def _equal_prompts(prompts: Mapping[Thinking, object], setting: str) -> Iterator[RunWarning]:
    """Of controls that were rendered into prompts, those whose prompts are the same."""
    groups: dict[object, list[Thinking]] = {}
    for thinking, prompt in prompts.items():
        if prompt is not None:
            groups.setdefault(prompt, []).append(thinking)
    for prompt, same in groups.items():
        if len(same) < 2 or _mean_the_same(same):
            continue
        names = ", ".join(thinking.name for thinking in same)
        if isinstance(prompt, tuple):
            yield warn("control_ignored", f"{names}: the server renders the same prompt for them", setting=setting)
        else:
            message = f"{names}: their prompts have {prompt} tokens each, so the control may be ignored"
            yield warn("prompts_as_long", message, setting=setting)


def _mean_the_same(controls: Sequence[Thinking]) -> bool:
    """Whether their prompts may be equal: a level and the switch that it implies."""
    levels = [thinking for thinking in controls if thinking.effort is not None]
    switches = [thinking for thinking in controls if thinking.enabled is not None]
    if len(levels) > 1 or len(switches) > 1:
        return False
    return all(level.effort != "none" or not switch.enabled for level in levels for switch in switches)
