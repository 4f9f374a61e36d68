"""What differs among compared settings besides what is being compared, as warnings."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tts_compare.backends.limits import cpu_dtype, threads_per_rank
from tts_compare.backends.registry import BACKENDS
from tts_compare.codes import warn
from tts_compare.domain import RunWarning, Setting


def differences(settings: Sequence[Setting]) -> tuple[RunWarning, ...]:
    """A warning for each quantity that should be equal across the settings and is not.

    Hosted endpoints are omitted: of their dtype, threads and limits nothing is known.
    """
    ours = [setting for setting in settings if not setting.hosted]
    found = [_unequal(ours, code=code, what=what, of=of) for code, what, of in _QUANTITIES]
    return (*(warning for warning in (*found, _cores(ours), _tries(ours)) if warning is not None), *_not_stated(ours))


def _not_stated(settings: Sequence[Setting]) -> tuple[RunWarning, ...]:
    """A warning for each engine that cannot be told all that others are told."""
    engines = {s.backend: BACKENDS[s.backend].not_stated for s in settings if s.backend in BACKENDS}
    return tuple(
        warn("setting_not_stated", f"{engine} cannot be told {', '.join(fields)}: its own values hold")
        for engine, fields in engines.items()
        if fields and len(settings) > 1
    )


_Quantity = tuple[str, str, Callable[[Setting], object]]
_QUANTITIES: tuple[_Quantity, ...] = (
    ("device_differs", "the device", lambda s: s.device),
    ("dtype_differs", "dtype", cpu_dtype),
    ("threads_per_rank_differ", "threads per rank", lambda s: threads_per_rank(s) if s.device == "cpu" else None),
    ("max_model_len_differs", "max_model_len", lambda s: s.max_model_len),
    ("prefix_caching_differs", "prefix caching", lambda s: "on" if s.prefix_caching else "off"),
    ("batch_limit_differs", "the batch limit", lambda s: s.max_num_seqs),
)


def _unequal(
    settings: Sequence[Setting], *, code: str, what: str, of: Callable[[Setting], object]
) -> RunWarning | None:
    values = {str(of(setting)) for setting in settings if of(setting) is not None}
    unknown = any(of(setting) is None for setting in settings) and bool(values) and code == "max_model_len_differs"
    if len(values) < 2 and not unknown:
        return None
    shown = ", ".join(sorted(values | ({"the model's own"} if unknown else set())))
    return warn(code, f"{what} differs between settings: {shown}")


def _cores(settings: Sequence[Setting]) -> RunWarning | None:
    cores = {(s.devices or 1) * threads_per_rank(s) for s in settings if s.device == "cpu"}
    if len(cores) < 2:
        return None
    counts = ", ".join(str(count) for count in sorted(cores))
    return warn(
        "total_cores_differ",
        f"settings use different numbers of CPU cores ({counts}): on a CPU more ranks are more cores",
    )


def _tries(settings: Sequence[Setting]) -> RunWarning | None:
    ways = {BACKENDS[s.backend].ngram for s in settings if s.speculation.kind == "ngram" and s.backend in BACKENDS}
    known = sorted(way for way in ways if way is not None)
    if len(known) < 2:
        return None
    return warn(
        "ngram_is_not_one_method",
        f"{', '.join(known)}: they share a name and the number of draft tokens, not the method",
    )
