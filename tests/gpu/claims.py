"""What cannot be tested without a GPU: each claim, the part that tries it, and how its evidence is judged. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

Verdict = Literal["proven", "failed", "not possible here"]
Evidence = Mapping[str, Any]
#: What a part found, as it stands in its file.

TELEMETRY = ("power_w", "energy_j", "utilization", "memory_used_bytes", "sm_clock_mhz", "temperature_c", "throttled")
ENGINES = ("vllm", "sglang", "transformers")
#: The share of the catalogue's bandwidth that a triad reaches on a GPU that is healthy and is the one it says it is.
LEAST_SHARE, MOST_SHARE = 0.6, 1.05
ENERGY_ALIKE = 0.10


class Finding(NamedTuple):
    """A verdict and its reason in one line."""

    verdict: Verdict
    detail: str


@dataclass(frozen=True, slots=True)
class Claim:
    """One line of the table. part: whose evidence is judged."""

    id: str
    part: str
    says: str
    judge: Callable[[Evidence], Finding]


def holds(good: object, detail: str) -> Finding:
    """Proven or failed."""
    return Finding("proven" if good else "failed", detail)


def _names(found: Evidence) -> Finding:
    gpus = found["gpus"]
    told = ", ".join(gpu["name"] for gpu in gpus)
    whole = gpus and found["driver"] and all(gpu["name"] and gpu["memory_bytes"] for gpu in gpus)
    return holds(whole, f"{told or 'no GPU'}; driver {found['driver']}")


def _telemetry(found: Evidence) -> Finding:
    samples = found["samples"]
    if not samples:
        return Finding("not possible here", "a divided GPU (MIG) has no figures of its own")
    missing = sorted({name for sample in samples for name in TELEMETRY if sample[name] is None})
    return holds(not missing, f"not told: {', '.join(missing)}" if missing else f"{len(samples)} GPUs tell all")


def _triad(found: Evidence) -> Finding:
    reached, known = found["bytes_s"], found["catalogue_bytes_s"]
    if reached is None:
        return Finding("not possible here", found["why"])
    if known is None:
        return Finding("not possible here", f"{reached / 1e12:.2f} TB/s; the catalogue does not know the GPU")
    share = reached / known
    return holds(LEAST_SHARE <= share <= MOST_SHARE, f"{reached / 1e12:.2f} TB/s, {share:.0%} of the catalogue's")


def _installed(engine: str, found: Evidence) -> Finding:
    one = found["engines"].get(engine)
    if one is None:
        return Finding("not possible here", "it was not asked for (BACKENDS)")
    good = one["imports"] and one["torch_sees_gpu"] and not one["advice"]
    return holds(good, "; ".join(one["advice"]) or f"{engine} {one['version']}, torch {one['torch']}")


def _asked(found: Evidence, engine: str) -> list[str]:
    return [setting for setting in found["rows"] if setting.startswith(f"{engine}/")]


def _served(engine: str, found: Evidence, *, mark: str = "") -> Finding:
    """Every setting of the engine with ``mark`` in its id answered all that it was sent, and counted it."""
    failed = {s: why for s, why in found["failed"].items() if s.startswith(f"{engine}/") and mark in s}
    if failed:
        return Finding("failed", "; ".join(failed.values()))
    mine = [setting for setting in _asked(found, engine) if mark in setting]
    skipped = {s: why for s, why in found["skipped"].items() if s.startswith(f"{engine}/") and mark in s}
    if not mine:
        why = next(iter(skipped.values()), found["why"] or "it was not asked for (BACKENDS)")
        return Finding("failed" if found["status"] not in (0, None) and not skipped else "not possible here", why)
    rows = [found["rows"][setting] for setting in mine]
    good = all(row["sent"] and row["ok"] == row["sent"] == row["counted"] for row in rows)
    told = ", ".join(
        f"{s}: {r['ok']} of {r['sent']} answered, {r['counted']} counted" for s, r in zip(mine, rows, strict=True)
    )
    return holds(good, told)


def _speculated(engine: str, found: Evidence) -> Finding:
    served = _served(engine, found, mark="ngram")
    if served.verdict != "proven":
        return served
    lengths = [
        length
        for setting, length in found["acceptance"].items()
        if setting.startswith(f"{engine}/") and "ngram" in setting
    ]
    good = lengths and all(length is not None and length >= 1 for length in lengths)
    return holds(good, f"acceptance length {', '.join(map(str, lengths)) or 'not told'}")


def _drafted(kind: str, found: Evidence) -> Finding:
    marked = [s for s in (*found["rows"], *found["failed"], *found["skipped"]) if s.rsplit("/", 1)[-1].startswith(kind)]
    if not marked:
        return Finding("not possible here", "give SPEC_FLAGS a draft for the model")
    return _served(marked[0].split("/")[0], found, mark=kind)


def _bound(found: Evidence) -> Finding:
    shares = [point["bound_share"] for point in found["points"] if point.get("bound_share") is not None]
    if not shares:
        return Finding("not possible here", "no point has a bound: the GPU or the sizes of the model are not known")
    return holds(max(shares) <= 1, f"at most {max(shares):.0%} of the bound")


def _forced(found: Evidence) -> Finding:
    return _served("vllm", found)


def _energy_read(found: Evidence) -> Finding:
    energies = [row["energy_j"] for row in found["metrics"]]
    if not energies:
        return Finding("failed", found["why"] or "no point was measured")
    return holds(all(energies), ", ".join("unknown" if j is None else f"{j:.0f} J" for j in energies))


def _energy_alike(found: Evidence) -> Finding:
    pairs = [(row["energy_j"], row["power_j"]) for row in found["metrics"]]
    known = [(energy, power) for energy, power in pairs if energy and power]
    if not known:
        return Finding("failed", "no stretch has both energies")
    worst = max(abs(power / energy - 1) for energy, power in known)
    return holds(worst <= ENERGY_ALIKE, f"they differ by {worst:.1%} at most")


def _throttling(found: Evidence) -> Finding:
    known, every = found["telemetry"]["throttling_known"], found["telemetry"]["samples"]
    return holds(every and known == every, f"told in {known} of {every} samples")


def _killed(found: Evidence) -> Finding:
    if not found["before"]:
        return Finding("failed", found["why"] or "no process of a server was seen before the kill")
    on_gpu = found["on_gpu_after"]
    told = f"{found['before']} processes before, {found['left']} after {found['seconds']:.0f} s, {on_gpu} on the GPU"
    return holds(found["left"] == 0 and on_gpu == 0, told)


CLAIMS: tuple[Claim, ...] = (
    Claim("nvml-names", "nvml", "NVML tells each GPU's name and memory, and the driver", _names),
    Claim(
        "nvml-telemetry", "nvml", "NVML tells power, energy, use, memory, clocks, temperature, throttling", _telemetry
    ),
    Claim("triad", "triad", "a triad reaches the catalogue's bandwidth within 60 to 105 %", _triad),
    *(
        Claim(
            f"install-{engine}",
            "install",
            f"{engine} imports, its torch sees the GPU, its kernels load",
            partial(_installed, engine),
        )
        for engine in ENGINES
    ),
    *(
        Claim(
            f"serve-{engine}",
            "engines",
            f"{engine} takes our command line on a GPU, answers and counts",
            partial(_served, engine),
        )
        for engine in ENGINES
    ),
    Claim("bound", "engines", "no point is faster than the bound of its GPU", _bound),
    Claim("thinking", "thinking", "a thinking budget (budget forcing) is kept by vLLM", _forced),
    *(
        Claim(
            f"tp-{engine}",
            "tp",
            f"{engine} serves with tensor parallelism over two GPUs",
            partial(_served, engine, mark="/tp2-"),
        )
        for engine in ENGINES[:2]
    ),
    *(
        Claim(
            f"spec-ngram-{engine}",
            "spec",
            f"{engine} speculates by n-gram, and tells its acceptance",
            partial(_speculated, engine),
        )
        for engine in ENGINES[:2]
    ),
    *(
        Claim(f"spec-{kind}", "spec", f"{kind} speculation serves", partial(_drafted, kind))
        for kind in ("draft_model", "eagle", "mtp")
    ),
    Claim("energy-read", "energy", "the energy of a point is read", _energy_read),
    Claim("energy-power", "energy", "the energy counter and power integrated agree within 10 %", _energy_alike),
    Claim("throttling", "energy", "reasons for throttling are read in every sample", _throttling),
    Claim("kill", "kill", "SIGKILL of the program leaves no process, and none on the GPU", _killed),
)
#: In the order in which they run.
PARTS = tuple(dict.fromkeys(claim.part for claim in CLAIMS))


def judged(claim: Claim, evidence: Mapping[str, Evidence]) -> Finding:
    """The verdict on a claim; a part that was not run or broke has a reason of its own."""
    found = evidence.get(claim.part)
    if found is None:
        return Finding("not possible here", "its part was not run (PARTS)")
    if "broke" in found:
        return Finding("failed", str(found["broke"]))
    return claim.judge(found)
