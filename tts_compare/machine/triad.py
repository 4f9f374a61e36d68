"""The memory bandwidth of a CPU, measured once: the largest of five triads over arrays larger than the cache.

The triad is that of STREAM (McCalpin 1995), a = b + s x c, counted as three accesses an element. A store also reads the
line it writes, which is not counted, and decoding hardly stores: a server can therefore exceed the figure a little.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]

TIMES = 5
_WIDTH = 8  # bytes of a float64
_ACCESSES = 3  # two loads and a store
_CHUNK = 16_384  # elements: a product of that length stays in the cache between the two passes numpy needs
_CACHES = 4  # an array is this many times the largest cache
_LEAST_BYTES, _MOST_BYTES = 64 * 2**20, 2**30
_MEMORY_PARTS = 12  # the three arrays together take at most a quarter of the memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Bandwidth:
    """What was measured of a processor's memory."""

    bytes_s: float
    """The largest of the triads."""
    threads: int
    """Threads that ran at once."""
    array_bytes: int
    """Size of each of the three arrays."""


def memory_bandwidth(
    cpu: str, threads: int, *, memory_bytes: int, cache: Path | None = None, measure: Callable[..., float] | None = None
) -> Bandwidth:
    """The bandwidth that ``threads`` threads reach, as measured here before, else measured now (about a second).

    cpu: the processor's name, part of the key of what is kept. cache: the file it is kept in. measure: the triad, or a
    fake of it. A file that cannot be read or written is passed over.
    """
    path = kept_in() if cache is None else cache
    known = _read(path)
    key = f"{cpu}, {threads} threads"
    if (found := _known(known.get(key), threads)) is not None:
        return found
    size = array_bytes(last_cache_bytes(), memory_bytes)
    run = measure or triad
    best = max(run(threads, size) for _ in range(TIMES))
    made = Bandwidth(bytes_s=best, threads=threads, array_bytes=size)
    _write(path, {**known, key: {"bytes_s": made.bytes_s, "array_bytes": made.array_bytes}})
    return made


def kept_in() -> Path:
    """The file that measured bandwidths are kept in."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("tts-compare")) / "bandwidth.json"


def array_bytes(cache: int, memory_bytes: int) -> int:
    """Bytes of an array: four times the largest cache, from 64 MiB to 1 GiB, and no more than the memory allows."""
    wanted = min(_MOST_BYTES, max(_LEAST_BYTES, _CACHES * cache))
    return max(_CHUNK * _WIDTH, min(wanted, memory_bytes // _MEMORY_PARTS))


def last_cache_bytes(root: Path = Path("/")) -> int:
    """The size of the largest cache of the first processor; 0 where the kernel does not say."""
    sizes = [_size(file) for file in root.glob("sys/devices/system/cpu/cpu0/cache/index*/size")]
    return max(sizes, default=0)


def triad(threads: int, size: int) -> float:
    """Bytes a second of one triad over three arrays of ``size`` bytes, shared out among ``threads`` threads."""
    import numpy as np

    length = max(threads, size // _WIDTH // threads * threads)
    out, first, second = (np.full(length, value, dtype=np.float64) for value in (0.0, 1.0, 2.0))
    parts = [slice(i * length // threads, (i + 1) * length // threads) for i in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        begin = time.perf_counter()
        for done in [pool.submit(_pass, out[part], first[part], second[part]) for part in parts]:
            done.result()
        seconds = time.perf_counter() - begin
    return _ACCESSES * _WIDTH * length / seconds


def _pass(out: Array, first: Array, second: Array) -> None:
    import numpy as np

    for begin in range(0, len(out), _CHUNK):
        part = slice(begin, begin + _CHUNK)
        np.multiply(second[part], 3.0, out=out[part])
        np.add(out[part], first[part], out=out[part])


def _known(kept: Any, threads: int) -> Bandwidth | None:
    if not isinstance(kept, Mapping):
        return None
    rate, size = kept.get("bytes_s"), kept.get("array_bytes")
    if not isinstance(rate, int | float) or not isinstance(size, int) or not rate > 0:
        return None
    return Bandwidth(bytes_s=float(rate), threads=threads, array_bytes=size)


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _write(path: Path, value: Mapping[str, Any]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError:
        return


def _size(file: Path) -> int:
    """Bytes of ``32768K`` or ``32M``; 0 of anything else."""
    try:
        text = file.read_text().strip()
    except OSError:
        return 0
    unit = {"K": 2**10, "M": 2**20, "G": 2**30}.get(text[-1:], 0)
    return int(text[:-1]) * unit if text[:-1].isdigit() else 0
