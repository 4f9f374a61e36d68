"""``best_of_n``: several samples of one problem at once; the best scored is taken in grading (arXiv:2408.03314).

Scores are not made while requests are timed: they come from a file, or from a reward model that is asked afterwards.
"""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import urlsplit

from tts_compare.errors import UsageError
from tts_compare.methods import vote
from tts_compare.methods.method import Options

#: How a reward model is asked (``scoring.forms``); ``auto`` goes by what the server says it is.
APIS = ("auto", "pooling", "classify", "score", "sglang")
#: How the rewards of several steps or tokens become one score.
REDUCTIONS = ("last", "min", "product", "mean")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def is_endpoint(scores: object) -> bool:
    """Whether ``scores`` is the address of a reward model, not a file."""
    return "://" in str(scores)


def check(options: Options) -> None:
    """Raises UsageError where nothing says how the samples are scored, or it cannot be done so.

    A value that may hold a secret is never repeated.
    """
    vote.check(options)
    if not options["scores"]:
        raise UsageError(
            "scores: best_of_n needs a file of scores, JSONL rows of {problem, sample, score}, "
            "or the URL of a reward model"
        )
    if is_endpoint(options["scores"]):
        _check_url(str(options["scores"]))
    for name, known in (("scores_api", APIS), ("scores_reduce", REDUCTIONS)):
        if options[name] not in known:
            raise UsageError(f"{name}: {options[name]!r} is none of {', '.join(known)}")
    if int(options["scores_concurrency"]) < 1:
        raise UsageError("scores_concurrency: it must be at least 1")
    if options["scores_api_key_env"] and not _VARIABLE.fullmatch(str(options["scores_api_key_env"])):
        raise UsageError("scores_api_key_env: it is the name of a variable; put the key into that variable")


def _check_url(address: str) -> None:
    try:
        parts = urlsplit(address)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0  # raises for no number
    except ValueError:
        known = False
    if not known:
        raise UsageError("scores: that is neither a file nor a URL such as http://localhost:8000")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise UsageError(
            "scores: a URL with a password or a query in it would be written down; "
            "put the key into a variable and name it in scores_api_key_env"
        )


METHOD = replace(
    vote.METHOD,
    name="best_of_n",
    summary="several samples at once, the one with the best score (weighted: the answer with the best sum)",
    options={
        **vote.METHOD.options,
        "scores": "",
        "weighted": False,
        "scores_api": "auto",
        "scores_model": "",
        "scores_reduce": "last",
        "scores_step": "",
        "scores_activation": True,
        "scores_api_key_env": "",
        "scores_concurrency": 8,
    },
    single_pass=False,  # a score is of a whole response, not of its prefix
    check=check,
)
