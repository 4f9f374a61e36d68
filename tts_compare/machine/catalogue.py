"""The catalogue of accelerators: what their makers publish of them, each figure with its source."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from tts_compare.errors import UsageError

_FIGURES = ("memory_gb", "bandwidth_gb_s", "bf16_tflops", "fp8_tflops", "link_gb_s", "sglang_share")
_KEYS = {*_FIGURES, "usd_hour", "names", "aliases"}
_GIGA, _TERA = 1e9, 1e12


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator:
    """One kind of device. Bytes and seconds; None where no public source says."""

    name: str
    """As the catalogue has it, for instance ``H100-SXM``."""
    memory_bytes: float
    """Memory of one device, in decimal gigabytes as datasheets state it; a driver may show up to 7 % more."""
    bandwidth_bytes_s: float
    """Peak memory bandwidth."""
    bf16_flops: float | None = None
    """Dense peak at 16 bits."""
    fp8_flops: float | None = None
    """Dense peak at 8 bits."""
    link_bytes_s: float | None = None
    """Bandwidth between devices, both directions together."""
    usd_hour_low: float | None = None
    """The least on-demand price of one device for an hour."""
    usd_hour_high: float | None = None
    """The greatest."""
    sglang_share: float | None = None
    """The share of memory that SGLang chooses for weights and KV cache."""
    names: tuple[str, ...] = ()
    """Regular expressions of what the driver calls it."""
    aliases: tuple[str, ...] = ()
    """Other names for it in ``--machine``."""
    sources: tuple[tuple[str, str], ...] = ()
    """The source of each figure, by its key in the catalogue."""

    def flops(self, dtype: str) -> float | None:
        """The dense peak for weights of this type; None where unknown. float32 has no entry."""
        if dtype.startswith(("float8", "fp8")):
            return self.fp8_flops or self.bf16_flops
        return None if dtype in ("float32", "float") else self.bf16_flops


def catalogue(*files_of_users: Path) -> dict[str, Accelerator]:
    """The accelerators shipped here, with those of the user's files added or put in their place, by name.

    Raises UsageError for a file that cannot be read or a table that is no accelerator.
    """
    text = files("tts_compare.machine").joinpath("catalogue.toml").read_text(encoding="utf-8")
    found = accelerators_in(tomllib.loads(text), where="the catalogue")
    for path in files_of_users:
        try:
            stated = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UsageError(f"cannot read {path}: {error}") from error
        found |= accelerators_in(stated, where=str(path))
    return found


def user_catalogue() -> tuple[Path, ...]:
    """The user's own file, if there is one: accelerators.toml in the configuration directory."""
    import platformdirs

    path = Path(platformdirs.user_config_dir("tts-compare")) / "accelerators.toml"
    return (path,) if path.is_file() else ()


def accelerators_in(document: Mapping[str, Any], *, where: str) -> dict[str, Accelerator]:
    """The tables ``[accelerator.NAME]`` of a document. Raises UsageError naming the table and the key."""
    sources = document.get("sources", {})
    tables = document.get("accelerator", {})
    if not isinstance(tables, Mapping) or not isinstance(sources, Mapping):
        raise UsageError(f"{where}: write [accelerator.NAME] tables")
    return {name: _accelerator(name, table, sources, where=where) for name, table in tables.items()}


def find(name: str, known: Mapping[str, Accelerator]) -> Accelerator:
    """The accelerator called so, whatever its capitals and separators. Raises UsageError with the known names."""
    wanted = _plain(name)
    for accelerator in known.values():
        if wanted in {_plain(accelerator.name), *map(_plain, accelerator.aliases)}:
            return accelerator
    if re.match(r"(amd|mi\d{3}|instinct)", wanted):
        raise UsageError(f"{name}: AMD's GPUs are not supported; plan for one of {', '.join(known)}")
    raise UsageError(
        f"unknown accelerator {name!r}; known: {', '.join(known)}; or describe it in a file (--machine FILE)"
    )


def recognise(driver_name: str, memory_bytes: int | None, known: Mapping[str, Accelerator]) -> Accelerator | None:
    """The accelerator that a driver calls so; of several whose names fit, the one of the nearest memory."""
    fitting = [a for a in known.values() if any(re.search(pattern, driver_name) for pattern in a.names)]
    if memory_bytes is None or len(fitting) < 2:
        return fitting[0] if fitting else None
    return min(fitting, key=lambda one: abs(one.memory_bytes - memory_bytes))


def _accelerator(name: str, table: Any, sources: Mapping[str, Any], *, where: str) -> Accelerator:
    if not isinstance(table, Mapping):
        raise UsageError(f"{where}: accelerator.{name} is not a table")
    if unknown := sorted(set(table) - _KEYS):
        raise UsageError(f"{where}: accelerator.{name}: unknown key {unknown[0]!r}; known: {', '.join(sorted(_KEYS))}")
    stated = {key: _figure(table[key], f"{where}: accelerator.{name}.{key}") for key in _FIGURES if key in table}
    missing = [key for key in ("memory_gb", "bandwidth_gb_s") if key not in stated]
    if missing:
        raise UsageError(f"{where}: accelerator.{name} needs {missing[0]}")
    price = table.get("usd_hour", {})
    low, high = _price(price, f"{where}: accelerator.{name}.usd_hour")
    noted = {key: value for key, value in {**table}.items() if isinstance(value, Mapping) and value.get("source")}
    bf16, fp8, link = stated.get("bf16_tflops"), stated.get("fp8_tflops"), stated.get("link_gb_s")
    return Accelerator(
        name=name,
        memory_bytes=stated["memory_gb"] * _GIGA,
        bandwidth_bytes_s=stated["bandwidth_gb_s"] * _GIGA,
        bf16_flops=bf16 * _TERA if bf16 else None,
        fp8_flops=fp8 * _TERA if fp8 else None,
        link_bytes_s=link * _GIGA if link else None,
        usd_hour_low=low,
        usd_hour_high=high,
        sglang_share=stated.get("sglang_share"),
        names=tuple(table.get("names", ())),
        aliases=tuple(table.get("aliases", ())),
        sources=tuple((key, str(sources.get(v["source"], v["source"]))) for key, v in noted.items()),
    )


def _figure(value: Any, where: str) -> float:
    """A positive number, alone or as ``{value, source}``."""
    number = value.get("value") if isinstance(value, Mapping) else value
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 < number < float("inf"):
        raise UsageError(f"{where}: {value!r} is not a positive number")
    return float(number)


def _price(value: Any, where: str) -> tuple[float | None, float | None]:
    """A price, or a range ``{low, high}`` of them."""
    if value == {}:
        return None, None
    if isinstance(value, Mapping) and "low" in value and "high" in value:
        low, high = _figure(value["low"], where), _figure(value["high"], where)
        if low > high:
            raise UsageError(f"{where}: low is above high")
        return low, high
    return (_figure(value, where),) * 2


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
