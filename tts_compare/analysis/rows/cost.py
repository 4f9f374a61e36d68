"""What an outcome costs: device seconds, dollars, floating-point operations. Formulas: docs/metrics.md."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import polars as pl
from msgspec import UNSET

from tts_compare.analysis.rows.attempts import hosted_settings
from tts_compare.analysis.rows.samples import occupancy, walls
from tts_compare.rundir.facts import ExperimentFacts, ModelRow, SettingFacts
from tts_compare.rundir.manifest import Manifest

_POINT_WORK = ("setting", "method", "record_budget", "load")


def priced(outcomes: pl.DataFrame, measured: pl.DataFrame, manifest: Manifest) -> pl.DataFrame:
    """Outcomes with ``devices``, ``wall_s``, ``bill_gpu_s``, ``least_gpu_s``, ``usd``, ``flops``, and what a failed one
    is charged at most (``cap_*``).

    measured: ``samples.measured_rows`` of the records. bill_gpu_s of a
    measured outcome is its share of devices x wall time, by the seconds its problem's requests held the server; of a
    derived outcome, and of a vote of fewer samples than were sent, devices x the most seconds it would hold the server
    alone, at concurrency 1, else null. least_gpu_s: the least, where that differs.
    """
    start = ("repeat", "round")
    held = occupancy(measured).join(walls(measured), on=[*_POINT_WORK, *start], how="left", maintain_order="left")
    held = held.with_columns(
        problem_wall_s=pl.col("wall_s") * pl.col("occupied_s") / pl.col("occupied_s").sum().over(*_POINT_WORK, *start)
    ).drop("occupied_s")
    cell = ["setting", "method", "budget", "load", "samples", "policy", "problem", *start]
    devices = pl.col("devices").cast(pl.Float64)
    whole = (pl.col("provenance") == "measured") & (pl.col("work_share") == 1.0)
    is_measured = pl.col("ending") != "not_measured"
    measured_bill = pl.when(is_measured).then(devices * pl.col("problem_wall_s") / is_measured.sum().over(cell))
    is_part = pl.col("work_share") < 1.0
    least = (
        pl.when(pl.col("provenance") == "measured")
        .then(measured_bill * pl.col("work_share"))
        .otherwise(devices * pl.col("least_s"))
    )
    alone = pl.col("load") == "c1"
    found = (
        outcomes.join(held, on=[*_POINT_WORK, "problem", *start], how="left", maintain_order="left")
        .join(_setting_figures(manifest), on="setting", how="left")
        .join(_rejected(manifest, measured), on=list(_POINT_WORK), how="left", maintain_order="left")
        .with_columns(
            least_gpu_s=pl.when(is_part & alone).then(least),
            bill_gpu_s=pl.when(whole).then(measured_bill).when(alone).then(devices * pl.col("held_s")),
        )
        .with_columns(
            bill_gpu_s=pl.when(pl.col("bill_gpu_s").is_not_null()).then(pl.max_horizontal("bill_gpu_s", "least_gpu_s"))
        )
    )
    return (
        found.with_columns(usd=_usd(), flops=_flops())
        .with_columns(**_caps())
        .drop("problem_wall_s", "rejected_per_token")
    )


def _rejected(manifest: Manifest, measured: pl.DataFrame) -> pl.DataFrame:
    return server_figures(manifest, measured).select(*_POINT_WORK, "rejected_per_token")


def _caps() -> dict[str, pl.Expr]:
    """What a failed outcome is charged where no setting answered its problem: the time limit, and the whole budget."""
    tokens = (pl.col("budget") * pl.col("samples")).cast(pl.Float64)
    bill = pl.col("devices") * pl.col("total_s")
    hosted = tokens * pl.col("price_output") / 1e6
    flops = 2.0 * pl.col("parameters") * tokens + pl.col("attention_flops") * tokens * pl.col("budget") / 2.0
    return {
        "cap_latency_s": pl.col("total_s"),
        "cap_request_s": pl.col("total_s"),
        "cap_tokens": tokens,
        "cap_bill_gpu_s": bill,
        "cap_usd": pl.coalesce(hosted, bill / 3600.0 * pl.col("gpu_hour_usd")),
        "cap_flops": flops,
    }


def _setting_figures(manifest: Manifest) -> pl.DataFrame:
    """One row a setting: devices, prices and the sizes of its model; null where the manifest does not say."""
    experiment = manifest.experiment
    hosted = hosted_settings(manifest)
    rows = []
    for setting, facts in manifest.settings.items():
        price = facts.price
        model = manifest.models.get(facts.model, ModelRow())
        layers, width = model.num_layers, _attention_width(model)
        hourly = experiment.gpu_hour_usd if facts.gpu_hour_usd is None else facts.gpu_hour_usd
        rows.append(
            {
                "setting": setting,
                "model": facts.model or None,
                "hosted": setting in hosted,
                **_rules(facts, experiment),
                "devices": facts.devices,
                "gpu_hour_usd": None if facts.devices is None else hourly,
                "price_input": price.input if price else None,
                "price_output": price.output if price else None,
                "price_cached": None if price is None else price.input if price.cached is None else price.cached,
                # Runs of older versions say the parameters alone.
                "parameters": model.parameters if model.active_parameters is UNSET else model.active_parameters,
                "attention_flops": None if layers is None or width is None else 4.0 * layers * width,
            }
        )
    schema = {
        **dict.fromkeys(("setting", "model", "limits"), pl.String),
        "hosted": pl.Boolean,
        "total_s": pl.Float64,
        "devices": pl.Int64,
        **dict.fromkeys(("gpu_hour_usd", "price_input", "price_output", "price_cached"), pl.Float64),
        **dict.fromkeys(("parameters", "attention_flops"), pl.Float64),
    }
    return pl.DataFrame(rows, schema=schema, strict=False)


def _rules(facts: SettingFacts, experiment: ExperimentFacts) -> dict[str, Any]:
    """``total_s``, and the limits and retry rules a setting was measured under as one text, None where unknown."""
    limits = facts.limits or experiment.limits
    if limits is None:
        return {"limits": None, "total_s": None}
    stated = msgspec.to_builtins({"limits": limits, "retry": facts.retry or experiment.retry})
    return {"limits": json.dumps(stated, sort_keys=True), "total_s": limits.total_s}


def _attention_width(model: ModelRow) -> float | None:
    if model.num_heads is not None and model.head_dim is not None:
        return float(model.num_heads * model.head_dim)
    return None if model.hidden_size is None else float(model.hidden_size)


def _usd() -> pl.Expr:
    """A hosted price per million tokens of every attempt where there is one, else the hourly price of the devices."""
    cached = pl.col("paid_cached").fill_null(0)
    hosted = (
        (pl.col("paid_prompt") - cached) * pl.col("price_input")
        + cached * pl.col("price_cached")
        + pl.col("paid_output") * pl.col("price_output")
    ) / 1e6
    return pl.coalesce(hosted, pl.col("bill_gpu_s") / 3600.0 * pl.col("gpu_hour_usd"))


def _flops() -> pl.Expr:
    """2 x parameters x tokens run through the model + 4 x layers x heads x head_dim x (token, context) pairs.

    Drafts that were rejected ran through the model too, as the generated tokens did: their part is the point's, as its
    server counted it.
    """
    rejected = pl.col("rejected_per_token").fill_null(0.0)
    processed = pl.col("processed") + rejected * pl.col("tokens")
    drafted = pl.when(pl.col("processed") > 0).then(processed / pl.col("processed")).otherwise(1.0)
    return 2.0 * pl.col("parameters") * processed + pl.col("attention_flops") * pl.col("attended") * drafted


_COUNTERS = ("attempts", "energy_j", "accepted_tokens", "draft_steps", "prefix_hit_tokens")
#: Among the engine's own figures of a row, under ``server``.
_ENGINE_COUNTERS = ("draft_tokens", "preemptions")


def server_figures(manifest: Manifest, measured: pl.DataFrame) -> pl.DataFrame:
    """What the servers' own counters say of each point: energy, drafts, preemptions, prefix-cache hits, over repeats.

    Read from ``server_metrics[setting]``: rows of method, budget, load, repeat, phase and the counters' changes. An
    engine that has a gauge of the acceptance length in place of counters has its mean over repeats. The energy is null
    where ``measured`` has attempts sent that no row covers: those of a stretch that was killed, whose end was not read.
    """
    rows = [
        {"setting": setting, "gauge": row.server.acceptance_length}
        | {name: getattr(row, name) for name in ("method", "budget", "load", *_COUNTERS)}
        | {name: getattr(row.server, name) for name in _ENGINE_COUNTERS}
        for setting, found in manifest.server_metrics.items()
        for row in found
        if row.phase == "measured"
    ]
    schema = {"setting": pl.String, "method": pl.String, "budget": pl.Int64, "load": pl.String, "gauge": pl.Float64}
    frame = pl.DataFrame(rows, schema=schema | dict.fromkeys((*_COUNTERS, *_ENGINE_COUNTERS), pl.Float64), strict=False)
    sums = [
        pl.when(pl.col(c).null_count() == 0).then(pl.col(c).sum()).alias(c) for c in (*_COUNTERS, *_ENGINE_COUNTERS)
    ]
    counted = 1.0 + pl.col("accepted_tokens") / pl.col("draft_steps")
    sent = measured.group_by(pl.col("budget").alias("record_budget"), "setting", "method", "load").agg(
        sent=pl.col("sent_ns").is_not_null().sum(), made=pl.col("made_tokens").sum()
    )
    rejected = (pl.col("draft_tokens") - pl.col("accepted_tokens")).clip(0)
    return (
        frame.group_by("setting", "method", pl.col("budget").alias("record_budget"), "load", maintain_order=True)
        .agg(*sums, pl.col("gauge").mean())
        .join(sent, on=_POINT_WORK, how="left")
        .with_columns(
            acceptance_rate=pl.when(pl.col("draft_tokens") > 0).then(
                pl.col("accepted_tokens") / pl.col("draft_tokens")
            ),
            rejected_per_token=pl.when(pl.col("made") > 0).then(rejected / pl.col("made")),
            acceptance_length=pl.when(pl.col("draft_steps") > 0).then(counted).otherwise("gauge"),
            energy_j=pl.when((pl.col("attempts") < pl.col("sent")).fill_null(value=False).not_()).then("energy_j"),
        )
        .drop("gauge", "sent", "attempts", "made")
    )
