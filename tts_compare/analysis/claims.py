"""The claims of arXiv:2509.19645, each tried on the user's own data: holds, does not hold, or cannot be told."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tts_compare.analysis.compare import Pair, cube_pairs
from tts_compare.analysis.cube import Cube
from tts_compare.analysis.evidence import Evidence, pooled
from tts_compare.analysis.frontier import Resampled
from tts_compare.analysis.labels import point_label
from tts_compare.analysis.optimal import MATERIAL, choices, count_targets
from tts_compare.analysis.resampling import Estimate
from tts_compare.analysis.schema import Claim, Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

TITLES: Mapping[str, str] = {
    "a": "accuracy flattens with time while tokens keep growing",
    "b": "speculation lowers latency",
    "c": "tensor parallelism speeds up less than proportionally, and not at all for the small model",
    "d": "speculation lowers the cost per token more than tensor parallelism does",
    "e": "tensor parallelism raises the cost per token",
    "f": "the compute-optimal setting is not the system-optimal one",
    "g": "the cost per token under speculation varies more as the model grows",
}


def judge_claims(
    cubes: Sequence[Cube], drawn: Sequence[Resampled], weights: Sequence[Floats], manifest: Mapping[str, Any]
) -> tuple[Claim, ...]:
    """All seven claims, on the cube (load and policy) with the most points."""
    usable = [i for i, cube in enumerate(cubes) if cube.compared.sum() >= 2]
    if not usable:
        return tuple(_untold(letter, "no two points share two completed problems") for letter in TITLES)
    best = max(usable, key=lambda i: (len(drawn[i].points), -i))
    pairs = tuple(cube_pairs(cubes[best], manifest))
    evidence = Evidence(cube=cubes[best], drawn=drawn[best], weights=weights[best], manifest=manifest, pairs=pairs)
    return tuple(judge(evidence) for judge in _JUDGES)


def _untold(letter: str, why: str) -> Claim:
    return Claim(letter=letter, title=TITLES[letter], verdict="cannot be told", sentence=f"cannot be told: {why}")


def _verdict(low: float, high: float, threshold: float) -> Verdict:
    """Holds above the threshold, does not hold below it."""
    if low > threshold:
        return "holds"
    return "does not hold" if high < threshold else "cannot be told"


def _ratio_claim(evidence: Evidence, letter: str, pairs: Sequence[Pair], found: Estimate, sentence: str) -> Claim:
    if math.isnan(found.value):
        return _untold(letter, "a figure it needs is missing")
    verdict = _verdict(found.lo, found.hi, 1.0)
    points = [point for pair in pairs for point in (pair.a, pair.b)]
    return Claim(
        letter=letter,
        title=TITLES[letter],
        verdict=verdict,
        sentence=f"{verdict}: {sentence} {found.value:.2f}x ({found.lo:.2f} to {found.hi:.2f})",
        figure=found.value,
        lo=found.lo,
        hi=found.hi,
        unit="x",
        evidence=evidence.labels(pairs),
        doubts=evidence.doubts(points),
    )


def _flattens(evidence: Evidence) -> Claim:
    """(a) Accuracy per doubling of latency: over the last step of the budget less over the first; flat is below 0."""
    curves = _curves(evidence)
    if not curves:
        return _untold("a", "it needs one setting at three budgets or more")
    if not all((evidence.drawn.axes[axis] > 0).all() for axis in ("latency", "tokens")):
        return _untold("a", "a latency or a length is missing")
    accuracy, latency = evidence.drawn.accuracy, np.log2(evidence.drawn.axes["latency"])
    tokens = np.log(evidence.drawn.axes["tokens"])
    bends, growths = [], []
    for first, second, before, last in curves:
        with np.errstate(invalid="ignore", divide="ignore"):
            early = (accuracy[:, second] - accuracy[:, first]) / (latency[:, second] - latency[:, first])
            late = (accuracy[:, last] - accuracy[:, before]) / (latency[:, last] - latency[:, before])
        bends.append(late - early)
        growths.append(tokens[:, last] - tokens[:, before])
    bend, growth = np.mean(bends, axis=0), np.exp(np.mean(growths, axis=0))
    if np.isnan(accuracy).any():
        return _untold("a", "the answers are not graded")
    if not np.isfinite(bend).all():
        return _untold("a", "the latency of two budgets is the same: the largest budget cuts no response")
    low, high = (float(v) for v in np.quantile(bend[1:], [0.025, 0.975]))
    grown_low, grown_high = (float(v) for v in np.quantile(growth[1:], [0.025, 0.975]))
    verdict = _verdict(-high, -low, 0.0)
    if grown_high < 1.01:
        verdict = "does not hold"
    elif grown_low <= 1.0 and verdict == "holds":
        verdict = "cannot be told"
    points = [evidence.drawn.points[c] for curve in curves for c in curve]
    return Claim(
        letter="a",
        title=TITLES["a"],
        verdict=verdict,
        sentence=(
            f"{verdict}: a doubling of latency brings {100 * bend[0]:+.1f} points "
            f"({100 * low:+.1f} to {100 * high:+.1f}) at the last budgets against the first, "
            f"while tokens grow {growth[0]:.2f}x ({grown_low:.2f} to {grown_high:.2f}) at the last step"
        ),
        figure=100 * float(bend[0]),
        lo=100 * low,
        hi=100 * high,
        unit="points per doubling of latency",
        evidence=tuple(point_label(evidence.cube.keys[p]) for p in dict.fromkeys(points)),
        doubts=evidence.doubts(points),
    )


def _curves(evidence: Evidence) -> list[tuple[int, int, int, int]]:
    """First two and last two budgets (columns of the resamples) of every (setting, method, samples) with three."""
    curves: dict[tuple[str, str, int], list[tuple[int, int]]] = {}
    for column, point in enumerate(evidence.drawn.points):
        key = evidence.cube.keys[point]
        name = (str(key["setting"]), str(key["method"]), int(key["samples"]))
        curves.setdefault(name, []).append((int(key["budget"]), column))
    ordered = [[column for _, column in sorted(curve)] for curve in curves.values() if len(curve) >= 3]
    return [(own[0], own[1], own[-2], own[-1]) for own in ordered]


def _speculation_latency(evidence: Evidence) -> Claim:
    """(b) Latency without drafts over latency with them, the geometric mean over all pairs."""
    pairs = _drafting(evidence)
    if not pairs:
        return _untold("b", "no setting was run with and without speculation")
    found = pooled(evidence, [(pairs, 1.0)], 0)
    return _ratio_claim(evidence, "b", pairs, found, "latency without speculation over latency with it is")


def _drafting(evidence: Evidence) -> list[Pair]:
    pairs = evidence.along("speculation")
    return [p for p in pairs if (evidence.facts(p.a).get("speculation") or {}).get("kind", "none") == "none"]


def _tensor_parallel_latency(evidence: Evidence) -> Claim:
    """(c) Speed-up over ranks gained below 1 for all models, and speed-up below 1 for the smallest model."""
    pairs = evidence.along("tensor_parallel")
    if not pairs:
        return _untold("c", "no setting was run at two degrees of tensor parallelism")
    gained = math.exp(
        float(
            np.mean(
                [
                    math.log(evidence.facts(p.b)["tensor_parallel"] / evidence.facts(p.a)["tensor_parallel"])
                    for p in pairs
                ]
            )
        )
    )
    speedup = pooled(evidence, [(pairs, 1.0)], 0)
    if math.isnan(speedup.value):
        return _untold("c", "a latency is missing")
    models = dict.fromkeys(evidence.model(p.a) for p in pairs)
    small = min(models, key=lambda m: (math.isnan(evidence.parameters(m)), evidence.parameters(m), m))
    own = [p for p in pairs if evidence.model(p.a) == small]
    smallest = pooled(evidence, [(own, 1.0)], 0)
    first = _verdict(-speedup.hi, -speedup.lo, -gained)
    second = _verdict(-smallest.hi, -smallest.lo, -1.0)
    verdict = _both(first, second)
    return Claim(
        letter="c",
        title=TITLES["c"],
        verdict=verdict,
        sentence=(
            f"{verdict}: {gained:.3g} times the ranks speed up {speedup.value:.2f}x "
            f"({speedup.lo:.2f} to {speedup.hi:.2f}), less than proportionally: {first}; "
            f"the smallest model, {small}, {smallest.value:.2f}x "
            f"({smallest.lo:.2f} to {smallest.hi:.2f}), below 1: {second}"
        ),
        figure=speedup.value / gained,
        lo=speedup.lo / gained,
        hi=speedup.hi / gained,
        unit="speed-up per rank",
        evidence=evidence.labels(pairs),
        doubts=evidence.doubts([point for pair in pairs for point in (pair.a, pair.b)]),
    )


def _both(first: Verdict, second: Verdict) -> Verdict:
    if first == second == "holds":
        return "holds"
    return "does not hold" if "does not hold" in (first, second) else "cannot be told"


def _speculation_against_parallelism(evidence: Evidence) -> Claim:
    """(d) Saving of cost per token by speculation over that by tensor parallelism; above 1 it holds."""
    drafts, ranks = _drafting(evidence), evidence.along("tensor_parallel")
    if not drafts or not ranks:
        return _untold("d", "it needs pairs with and without speculation, and at two degrees of tensor parallelism")
    found = pooled(evidence, [(drafts, 1.0), (ranks, -1.0)], 2)
    saved = "the saving of cost per token by speculation over that by tensor parallelism is"
    return _ratio_claim(evidence, "d", [*drafts, *ranks], found, saved)


def _parallelism_cost(evidence: Evidence) -> Claim:
    """(e) Cost per token at more ranks over that at fewer."""
    pairs = evidence.along("tensor_parallel")
    if not pairs:
        return _untold("e", "no setting was run at two degrees of tensor parallelism")
    rise = pooled(evidence, [(pairs, -1.0)], 2)
    return _ratio_claim(evidence, "e", pairs, rise, "cost per token at more ranks over fewer is")


def _compute_against_system(evidence: Evidence) -> Claim:
    """(f) At some accuracy, the token-cheapest takes over 5 % more latency or bill than the cheapest there.

    The intervals are Bonferroni-corrected for the targets and the two figures looked at.
    """
    targets = count_targets(evidence.drawn)
    if not targets or len(evidence.drawn.points) < 2:
        return _untold("f", "it needs two points or more")
    found = choices(evidence.cube, evidence.drawn, evidence.weights, confidence=1.0 - 0.05 / (2 * targets))
    tried = [(c, "latency", c.latency) for c in found] + [(c, "cost", c.cost) for c in found if c.cost is not None]
    tried = [entry for entry in tried if not math.isnan(entry[2].value)]
    if not tried:
        return _untold("f", "latency and cost are missing")
    choice, figure, worst = max(tried, key=lambda entry: (entry[2].lo, entry[2].value))
    verdict = _verdict(worst.lo, max(entry[2].hi for entry in tried), MATERIAL)
    name = " = ".join(point_label(evidence.cube.keys[evidence.drawn.points[c]]) for c in choice.by_tokens[:3])
    columns = [*choice.by_tokens, choice.by_latency, *(() if choice.by_cost is None else (choice.by_cost,))]
    points = [evidence.drawn.points[c] for c in dict.fromkeys(columns)]
    return Claim(
        letter="f",
        title=TITLES["f"],
        verdict=verdict,
        sentence=(
            f"{verdict}: at an accuracy of {100 * choice.target:.1f} %, choosing by tokens ({name}) takes "
            f"{worst.value:.2f}x ({worst.lo:.2f} to {worst.hi:.2f}) the least {figure}"
        ),
        figure=worst.value,
        lo=worst.lo,
        hi=worst.hi,
        unit="x",
        evidence=tuple(point_label(evidence.cube.keys[p]) for p in points),
        doubts=evidence.doubts(points),
    )


def _variation_with_size(evidence: Evidence) -> Claim:
    """(g) Standard deviation over problems of log cost per token under speculation: largest model over smallest."""
    drafting: dict[str, list[int]] = {}
    for point in evidence.drawn.points:
        if (evidence.facts(point).get("speculation") or {}).get("kind", "none") != "none":
            drafting.setdefault(evidence.model(point), []).append(point)
    sized = sorted(
        (evidence.parameters(model), model) for model in drafting if not math.isnan(evidence.parameters(model))
    )
    if len(sized) < 2:
        return _untold("g", "it needs speculation on two models of known size")
    (_, small), (_, large) = sized[0], sized[-1]
    ratio = _spread(evidence, drafting[large]) / _spread(evidence, drafting[small])
    if not np.isfinite(ratio[0]):
        return _untold("g", "the cost per token does not vary at all")
    low, high = (float(v) for v in np.nanquantile(ratio[1:], [0.025, 0.975]))
    verdict = _verdict(low, high, 1.0)
    points = [*drafting[small], *drafting[large]]
    return Claim(
        letter="g",
        title=TITLES["g"],
        verdict=verdict,
        sentence=(
            f"{verdict}: over problems, the spread of log cost per token under speculation is {ratio[0]:.2f}x "
            f"({low:.2f} to {high:.2f}) as large for {large} as for {small}"
        ),
        figure=float(ratio[0]),
        lo=low,
        hi=high,
        unit="x",
        evidence=tuple(point_label(evidence.cube.keys[p]) for p in points),
        doubts=evidence.doubts(points),
    )


def _spread(evidence: Evidence, points: Sequence[int]) -> Floats:
    """(1 + resamples,): the mean over points of the standard deviation of log cost per token over problems."""
    found = np.zeros(evidence.weights.shape[0] + 1)
    weights = np.vstack((np.ones(evidence.weights.shape[1]), evidence.weights)) / evidence.weights.shape[1]
    for point in points:
        request, tokens = (evidence.cube.values(point, f).mean(axis=0) for f in ("request_s", "tokens"))
        with np.errstate(invalid="ignore", divide="ignore"):
            log_cost = np.log(request / tokens)
        centred = log_cost - log_cost.mean()
        moments = weights @ np.stack((centred, centred**2)).T
        found += np.sqrt(np.maximum(moments[:, 1] - moments[:, 0] ** 2, 0.0)) / len(points)
    return found


_JUDGES: tuple[Callable[[Evidence], Claim], ...] = (
    _flattens,
    _speculation_latency,
    _tensor_parallel_latency,
    _speculation_against_parallelism,
    _parallelism_cost,
    _compute_against_system,
    _variation_with_size,
)
