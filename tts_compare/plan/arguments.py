"""What engine arguments say that a plan depends on. Pure."""

from __future__ import annotations

from tts_compare.domain.model_shape import BYTES_PER_WEIGHT


def kv_width(dtype: str, kv_dtype: str | None) -> float:
    """Bytes of an element of the KV cache: 1 where an 8-bit cache is asked for, else those of the weights' type."""
    return 1.0 if kv_dtype and kv_dtype.startswith("fp8") else BYTES_PER_WEIGHT.get(dtype, 2.0)


def stored_dtype(dtype: str, quantization: str) -> str:
    """The type in which the engine keeps weights; other quantizations than fp8 are the checkpoint's, which tells it."""
    return "float8" if quantization == "fp8" else dtype


def stated(arguments: tuple[str, ...], flag: str) -> str | None:
    """The value of a flag in an engine's arguments, as ``--flag value`` or ``--flag=value``; the last one counts."""
    found = None
    for index, word in enumerate(arguments):
        if word == flag and index + 1 < len(arguments):
            found = arguments[index + 1]
        elif word.startswith(f"{flag}="):
            found = word.partition("=")[2]
    return found
