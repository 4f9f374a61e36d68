"""Parts that the formulas of several columns share."""

from __future__ import annotations

WILSON = "Wilson score interval, 95 %; clustered by problem for several answers a problem"
BOOTSTRAP = (
    "95 %: bootstrap-t over problems on the logarithm, with Student's t over server starts where there are several"
)
ORDER = "95 % between two order statistics (Woodruff's method for several answers a problem)"
ON = "no other point is at least as accurate at no more of it, and better in one"
ON_MORE = "no other point is at least as accurate at no less of it, and better in one"
RESAMPLES = (
    "share of resamples (starts, then problems, paired) in which no other point is as good in both and better in one"
)
COMPARED = (
    "the same figure over the n_compared problems, a failed answer charged the most that a compared point needed for "
    "its problem: what frontiers and comparisons use"
)
