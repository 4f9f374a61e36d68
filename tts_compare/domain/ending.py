"""What an attempt ended as: a failure of the setting is a result, an interruption of ours is not a measurement."""

from __future__ import annotations

import re
from typing import Literal

from tts_compare.domain import RequestError

Ending = Literal["answered", "failed", "not_measured"]
#: The request was refused for what it is, not for how it was served: a key, a right, a name that is wrong.
_REFUSED_STATUSES = frozenset({401, 403, 404})
_OVERLOAD = re.compile(r"overload|capacity|busy|try again later", re.IGNORECASE)
_QUOTA = re.compile(r"quota|rate.?limit|(requests|tokens) per (second|minute|hour|day)|\b[rt]p[mds]\b", re.IGNORECASE)


def ending(error: RequestError | None, finish_reason: str | None, *, hosted: bool) -> Ending:
    """How an attempt ended, by its row.

    ``not_measured`` are interruptions of ours, refusals by 401, 403 and 404, and a 429 in which a hosted endpoint names
    a quota; everything else without an answer is a failure of the setting. hosted: whether the server is not ours.
    """
    if error is None:
        return "answered" if finish_reason in ("stop", "length") else "failed"
    if error.kind == "cancelled":
        return "not_measured"
    if error.kind == "http_4xx" and error.status in _REFUSED_STATUSES:
        return "not_measured"
    if error.kind == "http_429" and hosted and names_quota(error.message):
        return "not_measured"
    return "failed"


def names_quota(message: str) -> bool:
    """Whether the message of a 429 speaks of a quota of the user's and not of a server that is overloaded."""
    return bool(_QUOTA.search(message)) and not _OVERLOAD.search(message)
