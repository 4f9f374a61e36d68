"""The verdict in words: at most six lines that stand alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from tts_compare.analysis.findings.compare import HOSTED_AXIS
from tts_compare.analysis.findings.standing import Figure, Place, Standing
from tts_compare.analysis.findings.verdict import Status, TokensChoice, Verdict
from tts_compare.codes import CODES
from tts_compare.reports.labels import Labels, shorten
from tts_compare.reports.loads import say_load
from tts_compare.reports.numbers import DASH, budget, money, scale, three_digits
from tts_compare.reports.pair_words import COST, LATENCY, say_accuracy, say_times
from tts_compare.reports.plain import one_line

MOST_LINES = 6
#: Why nothing is confirmed, by the code of the warning beside the pair.
_UNCONFIRMED: Mapping[str, str] = MappingProxyType(
    {
        "one_server_start": "one start of each setting",
        "few_rounds": "two rounds; three are needed",
        "bimodal_starts": "server starts fall into two groups; five rounds are needed",
    }
)
_BARREN = {
    "nothing was right": "no answer of any setting was right",
    "everything was cut": "every answer was cut by its budget",
}
_MANY = 3


def verdict_lines(found: Sequence[Verdict], labels: Labels, *, on_cpu: bool) -> tuple[str, ...]:
    """The lines of the first verdict; of the others what they choose. At most MOST_LINES; safe to show."""
    if not found:
        return ()
    first = found[0]
    lines = [_headline(first, labels, several=len(found) > 1)]
    if first.chosen is not None:
        lines.append(_figures(first.chosen, on_cpu=on_cpu))
        lines += [line for line in (_comparisons(first, labels), _besides(found, labels)) if line]
    if first.warning is not None:
        where = f" [{', '.join(map(labels.name, first.warning.settings))}]" if first.warning.settings else ""
        message = labels.replace_ids(first.warning.message)
        lines.append(f"{first.warning.severity.capitalize()}: {message}{where}.")
    lines.append(f"Next: {first.next_run}" if first.next_run else _no_next(first))
    return tuple(one_line(line, 600) for line in lines if line)


def name_place(place: Place, labels: Labels) -> str:
    """``vllm ngram at 4k tokens``, with the method and the samples of a vote."""
    method = "" if labels.method or place.method == "truncate" else f" {place.method}"
    votes = f", {place.samples} samples" if place.samples > 1 else ""
    return f"{labels.name(place.setting)}{method} at {budget(place.budget)} tokens{votes}"


def _headline(found: Verdict, labels: Labels, *, several: bool) -> str:
    where = f" ({say_load(found.load)}, policy {found.policy})" if several else ""
    if found.chosen is None:
        why = _BARREN[found.barren] if found.barren else "no problem was measured in every setting compared"
        return f"System-optimal: nothing can be chosen{where}: {why}."
    chosen = name_place(found.chosen, labels)
    if found.status == "one setting":
        return f"One setting was measured{where}: there is nothing to choose between. Most accurate: {chosen}."
    told = _STATUS[found.status].format(chosen=chosen, why=_why(found), open=_open(found, labels))
    return f"System-optimal{where}: {told}"


_STATUS: Mapping[Status, str] = MappingProxyType(
    {
        "confirmed": "{chosen}. Every other setting is shown to be slower, or less accurate.",
        "not confirmed": "not confirmed ({why}). Here {chosen} is the fastest of the most accurate.",
        "not told apart": "{chosen} has the least latency of the most accurate, but is not told apart from {open}.",
        "no verdict": "no verdict ({why}). Here {chosen} is the fastest of the most accurate.",
    }
)


def _why(found: Verdict) -> str:
    reasons = [one.reason for one in found.open if one.reason]
    known = [_UNCONFIRMED[reason] for reason in reasons if reason in _UNCONFIRMED]
    if known:
        return known[0]
    return CODES[reasons[0]].text if reasons and reasons[0] in CODES else "the settings could not be compared in pairs"


def _open(found: Verdict, labels: Labels) -> str:
    names = [labels.name(one.other.setting) for one in found.open]
    rest = f" and {len(names) - _MANY} more" if len(names) > _MANY else ""
    return ", ".join(names[:_MANY]) + rest


def _figures(place: Place, *, on_cpu: bool) -> str:
    """Accuracy, latency and cost of the chosen point with their intervals, and what they rest on."""
    unit, cost = scale("seconds", [place.latency.value]), scale("device_seconds", [place.device_s.value], on_cpu=on_cpu)
    parts = [f"accuracy {_share(place.accuracy)}"]
    at_least = ">=" if place.latency_is_lower_bound else ""
    parts.append(
        f"mean latency {at_least}{unit.write(place.latency.value)} {unit.unit}{_span(place.latency, unit.factor)}"
    )
    if place.device_s.value is not None:
        at_most = "<=" if place.cost_is_upper_bound else ""
        parts.append(f"{at_most}{cost.write(place.device_s.value)} {cost.unit} a problem")
    parts.append(_dollars(place))
    starts = f"{place.starts} server start{'' if place.starts == 1 else 's'}"
    rests = f"{place.problems} problems, {starts}" + (
        f", {100 * place.failed_share:.1f} % of the answers failed" if place.failed_share else ""
    )
    return f"It has {', '.join(part for part in parts if part)} ({rests})."


def _dollars(place: Place) -> str:
    if place.usd_per_problem is None:
        return "" if place.device_s.value is not None else "cost unknown"
    per_million = place.usd_per_million_tokens
    beside = "" if per_million is None else f" ({money(per_million)} per 1M tokens)"
    return f"{money(1000 * place.usd_per_problem)} per 1k problems{beside}"


def _share(figure: Figure) -> str:
    if figure.value is None:
        return DASH
    span = "" if figure.lo is None or figure.hi is None else f" [{100 * figure.lo:.0f}{DASH}{100 * figure.hi:.0f}]"
    return f"{100 * figure.value:.1f} %{span}"


def _span(figure: Figure, factor: float) -> str:
    if figure.lo is None or figure.hi is None:
        return ""
    return f" [{three_digits(figure.lo * factor)}{DASH}{three_digits(figure.hi * factor)}]"


def _comparisons(found: Verdict, labels: Labels) -> str:
    """The chosen point against the baseline, the strongest rival, and one hosted setting, in a sentence each."""
    asked: list[Standing] = []
    for one in (found.baseline, found.next, found.hosted):
        if one is not None and one.other not in [known.other for known in asked]:
            asked.append(one)
    return " ".join(f"{say_standing(one, found, labels)}." for one in asked)


def say_standing(one: Standing, found: Verdict, labels: Labels) -> str:
    """``1.44x faster [1.40-1.49] than sglang none, with the same answers``."""
    name = labels.name(one.other.setting)
    if one.differs == "speculation" and one.other.setting.endswith("/none"):
        name = "the same without speculation"
    if found.chosen is not None and one.other.budget != found.chosen.budget:
        name += f" at {budget(one.other.budget)} tokens"
    parts = [say_times(one.latency, one.latency_finding, one.reason, LATENCY) + _uneven(one)]
    if one.differs == HOSTED_AXIS:
        parts.append(say_times(one.cost, one.cost_finding, one.reason, COST))
    parts.append(say_accuracy(one.accuracy, one.accuracy_finding))
    return f"Against {name}: {'; '.join(parts)}"


def _uneven(one: Standing) -> str:
    decided = one.latency_finding in ("better", "worse")
    return " on the answers both gave" if one.uneven and decided else ", failures counted" if one.uneven else ""


def _besides(found: Sequence[Verdict], labels: Labels) -> str:
    """The cheapest, the best within the objectives, what choosing by tokens costs, and the other loads."""
    return " ".join(_besides_parts(found, labels))


def _besides_parts(found: Sequence[Verdict], labels: Labels) -> Iterator[str]:
    first = found[0]
    if first.within is not None:
        asked = ", ".join(first.within.objectives)
        kept = "" if first.within.kept is None else f" (keeps it in {first.within.kept:.0%} of resamples)"
        best = "no setting" if first.within.place is None else f"{name_place(first.within.place, labels)}{kept}"
        yield f"Best within {asked}: {best}."
    if first.cheapest is not None:
        sure = {"worse": "", "not confirmed": " in this run, not confirmed"}.get(
            first.cheapest_finding, " in this run, not told apart in cost"
        )
        yield f"Cheapest: {name_place(first.cheapest, labels)}{sure}."
    if first.by_tokens is not None and first.chosen is not None:
        yield _tokens(first.by_tokens, first.chosen, labels)
    for other in found[1:]:
        best = "nothing can be chosen" if other.chosen is None else name_place(other.chosen, labels)
        sure = "" if other.status in ("confirmed", "one setting", "nothing to choose") else f" ({other.status})"
        yield f"With {say_load(other.load)}, policy {other.policy}: {best}{sure}."


def _tokens(choice: TokensChoice, chosen: Place, labels: Labels) -> str:
    costs = [
        f"{figure.value:.2f}x the {word}{_span(figure, 1.0) if choice.confirmed else ''}"
        for figure, word in ((choice.latency, "latency"), (choice.cost, "cost"))
        if figure.value is not None
    ]
    if not costs:
        return ""
    sure = "" if choice.confirmed else " in this run (not confirmed)"
    if len(choice.chosen) == 1:
        return f"Choosing by tokens ({shorten(choice.chosen[0], labels)}) costs {' and '.join(costs)}{sure}."
    among = "" if any(one.startswith(f"{chosen.setting} ") for one in choice.chosen) else ", none of which is it"
    return (
        f"By tokens {len(choice.chosen)} settings tie{among}; picking one costs {' and '.join(costs)} on average{sure}."
    )


def _no_next(found: Verdict) -> str:
    return "Next: no further run is needed for this choice." if found.status == "confirmed" else ""
