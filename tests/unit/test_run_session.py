"""A server that ended before a request was sent to it costs that request nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import pytest

from tts_compare.backends import BACKENDS
from tts_compare.domain import Setting
from tts_compare.limits.admission import RateLimiter, Rates
from tts_compare.measure.replay import ServerGoneError
from tts_compare.measure.session import ServerSession


@dataclass
class Ended:
    cause: str | None

    def lost(self) -> str | None:
        return None

    def died(self, *, by_ns: int | None = None) -> str | None:
        return self.cause


def session(cause: str | None) -> ServerSession:
    nothing = cast("Any", None)
    return ServerSession(
        setting=Setting(backend="vllm", model="m"),
        server=cast("Any", Ended(cause)),
        client=nothing,
        post=nothing,
        backend=BACKENDS["vllm"],
        limiter=RateLimiter(Rates()),
    )


def test_a_server_that_is_gone_is_seen_before_the_first_request_of_a_point() -> None:
    session(None).require_alive()
    with pytest.raises(ServerGoneError, match="exit 137"):
        session("exit 137").require_alive()
