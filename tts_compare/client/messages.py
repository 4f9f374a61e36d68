"""What a parent and its client workers say to each other: length-prefixed MessagePack over pipes."""

from __future__ import annotations

import asyncio
import struct
from typing import Any, Literal

import msgspec

from tts_compare.client.audit import LoopFigures
from tts_compare.client.limits import TimeLimits
from tts_compare.domain import Endpoint, Phase, RequestRecord, RowKey

Rows = tuple[RequestRecord, ...]
_LENGTH = struct.Struct("!I")


class Hello(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The first thing a worker hears: whom to send to."""

    endpoint: Endpoint
    limits: TimeLimits
    transport: Literal["own", "httpx"]
    insecure: bool


class Job(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Make this attempt."""

    id: int
    path: str
    body: dict[str, Any]
    key: RowKey
    phase: Phase
    scheduled_ns: int | None
    limits: TimeLimits | None


class Cancel(msgspec.Struct, tag=True, frozen=True):
    """Give an attempt up."""

    id: int


class AskFigures(msgspec.Struct, tag=True, frozen=True):
    """Asks for the figures since the last time."""


class Ended(msgspec.Struct, tag=True, frozen=True):
    """The rows of an attempt."""

    id: int
    rows: Rows


class Figures(msgspec.Struct, tag=True, frozen=True):
    """Figures of a worker; the first, empty ones say that it is ready."""

    figures: LoopFigures


_encode = msgspec.msgpack.Encoder().encode
to_worker = msgspec.msgpack.Decoder(Hello | Job | Cancel | AskFigures)
to_parent = msgspec.msgpack.Decoder(Ended | Figures)


def framed(message: object) -> bytes:
    """Render a message with its length before it."""
    data = _encode(message)
    return _LENGTH.pack(len(data)) + data


async def receive(reader: asyncio.StreamReader) -> bytes:
    """Read one message. Raises: asyncio.IncompleteReadError at the end of the pipe."""
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    return await reader.readexactly(length)
