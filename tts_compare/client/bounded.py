"""Answers of servers in bounded memory: decompressed piece by piece, and broken off where they have no end."""

from __future__ import annotations

import sys
import zlib
from collections.abc import AsyncIterator, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx

PIECE_BYTES = 64 * 1024
MOST_BYTES = 32 * 1024 * 1024
"""What an answer that is not timed may hold: a list of models, a page of metrics, the scores of a reward model."""
DECODED = ("gzip", "x-gzip", "deflate")
_ANY = 47  # zlib.h, inflateInit2: 32 + the largest window, which finds out by itself whether it is gzip or zlib


class Unzipper:
    """Decompresses gzip and deflate in pieces: a kilobyte may hold a megabyte, and a read hundreds of them."""

    def __init__(self) -> None:
        self._unzip = zlib.decompressobj(wbits=_ANY)

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Yield what the next bytes unfold to, at most ``PIECE_BYTES`` at a time. Raises: zlib.error."""
        while not self._unzip.eof:
            piece = self._unzip.decompress(data, PIECE_BYTES)
            data = self._unzip.unconsumed_tail
            if piece:
                yield piece
            if not data and len(piece) < PIECE_BYTES:
                return


class _Bound:
    """Counts what an answer unfolds to."""

    def __init__(self, response: httpx.Response) -> None:
        encoding = response.headers.get("content-encoding", "").strip().lower()
        self._unzipper = Unzipper() if encoding in DECODED else None
        self._bytes = 0
        # The openai package has its own copy of httpx: streams and errors must be those of the response's library.
        self.library: Any = sys.modules[type(response).__module__.partition(".")[0]]
        if self._unzipper is not None:
            del response.headers["content-encoding"]  # or else the library would decompress it once more

    def plain(self, data: bytes) -> Iterator[bytes]:
        """Yield what the next bytes unfold to. Raises: the library's DecodingError."""
        try:
            for piece in self._unzipper.pieces(data) if self._unzipper else (data,):
                self._bytes += len(piece)
                if self._bytes > MOST_BYTES:
                    raise self.library.DecodingError(f"an answer of more than {MOST_BYTES >> 20} MiB")
                yield piece
        except zlib.error as error:
            raise self.library.DecodingError(f"broken compression: {error}") from None


def bound(response: httpx.Response) -> None:
    """Bound an answer that is not yet read; an event hook of ``httpx.Client``. Reading raises DecodingError."""
    limit = _Bound(response)
    response.stream = _streams(limit.library)[0](limit, response.stream)


async def bound_async(response: httpx.Response) -> None:
    """The same as an event hook of ``httpx.AsyncClient``."""
    limit = _Bound(response)
    response.stream = _streams(limit.library)[1](limit, response.stream)


@cache
def _streams(library: Any) -> tuple[Any, Any]:
    """The bounded streams of one copy of httpx, made once: a class is a cycle that only the collector frees."""

    class Bounded:
        def __init__(self, limit: _Bound, stream: Any) -> None:
            self._limit, self._stream = limit, stream

    class Sync(Bounded, library.SyncByteStream):  # type: ignore[misc]
        def __iter__(self) -> Iterator[bytes]:
            for data in self._stream:
                yield from self._limit.plain(data)

        def close(self) -> None:
            self._stream.close()

    class Async(Bounded, library.AsyncByteStream):  # type: ignore[misc]
        async def __aiter__(self) -> AsyncIterator[bytes]:
            async for data in self._stream:
                for piece in self._limit.plain(data):
                    yield piece

        async def aclose(self) -> None:
            await self._stream.aclose()

    return Sync, Async
