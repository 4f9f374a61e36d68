"""``best_of_n``: several samples of one problem at once; the best scored is taken in grading (arXiv:2408.03314).

Scores are not made here: they come from a file when the responses are graded.
"""

from __future__ import annotations

from dataclasses import replace

from tts_compare.errors import UsageError
from tts_compare.methods import vote
from tts_compare.methods.method import Options


def check(options: Options) -> None:
    """Raises UsageError where nothing says how the samples are scored."""
    vote.check(options)
    if not options["scores"]:
        raise UsageError("scores: best_of_n needs a file of scores, JSONL rows of {problem, sample, score}")
    if "://" in str(options["scores"]):
        raise UsageError("scores: they are read from a file, not from a URL; score the responses first")


METHOD = replace(
    vote.METHOD,
    name="best_of_n",
    summary="several samples at once, the one with the best score (weighted: the answer with the best sum)",
    options={**vote.METHOD.options, "scores": "", "weighted": False},
    single_pass=False,  # a score is of a whole response, not of its prefix
    check=check,
)
