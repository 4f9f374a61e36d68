"""What a failed answer is charged in comparisons: no less than what its problem took where it was answered."""

from __future__ import annotations

import polars as pl

#: Figures that a failed answer is charged for; each has a column of its own in ``cost.priced`` (``cap_*``).
CHARGED = ("latency_s", "tokens", "request_s", "bill_gpu_s", "usd", "flops")
#: Points compared with one another answer one problem: of one model, method, budget, number of samples and load.
_GROUP = ("_model", "method", "budget", "samples", "load", "policy")


def charged(outcomes: pl.DataFrame) -> pl.DataFrame:
    """Outcomes with ``charged_*`` of the figures in CHARGED; of an answer that did not fail it is the figure itself.

    A failed one is charged the largest of its own figure and the most that any compared point needed to answer that
    problem; where none answered it, the time limit (times devices for device-seconds) or the budget's tokens; where
    that is not known, the most that any problem of the group took. Failing fast never helps.
    outcomes: ``cost.priced``.
    """
    names = {name: f"charged_{name}" for name in CHARGED}
    if not outcomes["failed"].any():
        return outcomes.with_columns(pl.col(name).alias(new) for name, new in names.items())
    # A setting whose model nobody states is compared with no other.
    named = outcomes.with_columns(_model=pl.coalesce("model", "setting"))

    def most(name: str, *over: str) -> pl.Expr:
        return pl.col(name).filter("ok").max().over(*_GROUP, *over)

    return named.with_columns(
        pl.when("failed")
        .then(pl.max_horizontal(name, pl.coalesce(most(name, "problem"), f"cap_{name}", most(name))))
        .otherwise(name)
        .alias(new)
        for name, new in names.items()
    ).drop("_model")
