"""The names that a knob's value may have, which the parts of the program know: engines, methods, data sets, prompts."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tts_compare.config.knob import Knob, Source


def names_of(knob: Knob) -> tuple[str, ...]:
    """The names that are offered for a knob's value; none where any value is as good as another."""
    return tuple(_SOURCES[knob.offers]()) if isinstance(knob.offers, str) else knob.offers


def meaning_of(knob: Knob) -> str:
    """What a knob means, with the names that are offered in the place of ``{names}``; code in backticks."""
    if "{names}" not in knob.help:
        return knob.help
    return knob.help.replace("{names}", ", ".join(f"`{name}`" for name in names_of(knob)))


def _backends() -> Iterable[str]:
    from tts_compare.backends import BACKENDS

    return BACKENDS


def _methods() -> Iterable[str]:
    from tts_compare.methods import METHODS

    return METHODS


def _datasets() -> Iterable[str]:
    from tts_compare.dataset import DATASETS, NAMES

    return (*NAMES, *DATASETS)


def _prompts() -> Iterable[str]:
    from tts_compare.methods import PROMPTS

    return PROMPTS


def _launchers() -> Iterable[str]:
    from tts_compare.launchers import LAUNCHERS

    return LAUNCHERS


_SOURCES: dict[Source, Callable[[], Iterable[str]]] = {
    "backends": _backends,
    "methods": _methods,
    "datasets": _datasets,
    "prompts": _prompts,
    "launchers": _launchers,
}
