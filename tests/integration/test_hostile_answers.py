"""Answers that no server should send: each leaves a readable run, in bounded memory, and says what was wrong."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.integration.running import rows_of
from tts_compare.domain import RequestRecord

MAX_MIB = 300
HUGE = 10**30
#: The program run, reported and resumed in one process, which says how much memory it took at most. The kernel's own
#: figure since exec (proc_pid_status(5)): ru_maxrss begins with what the process that forked it had.
PROGRAM = """
import json, pathlib, sys
from tts_compare.cli import main
statuses = [main(argv) for argv in json.loads(sys.argv[1])]
(peak,) = [line for line in pathlib.Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
print(json.dumps({"statuses": statuses, "mib": int(peak.split()[1]) / 1024}))
"""


def event(value: Any) -> bytes:
    return b"data: " + (value if isinstance(value, bytes) else json.dumps(value).encode()) + b"\n\n"


def chunk(text: str = "", *, index: int = 0, finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": {"content": text}, "finish_reason": finish}], **more}


def stream(*values: Any) -> bytes:
    return b"".join(map(event, values)) + b"data: [DONE]\n\n"


def usage(**counts: Any) -> dict[str, Any]:
    return {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7, **counts}}


def bomb(plain: bytes, gigabytes: int = 4) -> bytes:
    """A gzip stream that unfolds to ``plain`` again and again: a thousand times its size and more."""
    block = plain * (16 * 2**20 // len(plain))
    deflate = zlib.compressobj(wbits=-15)
    packed = deflate.compress(block) + deflate.flush(zlib.Z_FULL_FLUSH)
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03" + packed * (gigabytes * 2**30 // len(block))


@dataclass(frozen=True, kw_only=True)
class Hostile:
    """What is sent, and what the rows of the run become: an error kind or None, and marks."""

    body: bytes
    kind: str | None = None
    marks: frozenset[str] = frozenset()
    status: int = 200
    gzip: bool = False
    tokens: int | None = 2
    text: str | None = "hi there"


WORDS = (chunk("hi"), chunk(" there", finish="stop"))
DEEP = b'{"error":' + b"[" * 100_000
ANSWERS: dict[str, Hostile] = {
    "a gzip bomb of nothing": Hostile(body=bomb(b"\0"), gzip=True, kind="malformed", marks=frozenset({"oversized"})),
    "a gzip bomb of spaces": Hostile(body=bomb(b" "), gzip=True, kind="malformed", marks=frozenset({"oversized"})),
    "a gzip bomb of answers": Hostile(
        body=bomb(event(chunk("x" * 1000))), gzip=True, kind="malformed", marks=frozenset({"past_max_tokens"})
    ),
    "a gzip bomb of one text": Hostile(
        body=bomb(event(chunk("x" * 4_000_000, usage={"completion_tokens": 1}))),
        gzip=True,
        kind="malformed",
        marks=frozenset({"oversized"}),
    ),
    "a gzip bomb as an error": Hostile(body=bomb(b"{"), gzip=True, status=500, kind="http_5xx"),
    "usage of 10**30": Hostile(
        body=stream(*WORDS, usage(completion_tokens=HUGE, prompt_tokens=HUGE)), marks=frozenset({"usage_absurd"})
    ),
    "usage of 5,000 digits": Hostile(
        body=stream(*WORDS, json.dumps(usage(completion_tokens="N")).replace('"N"', "9" * 5000).encode()),
        marks=frozenset({"usage_absurd"}),
    ),
    "negative usage": Hostile(
        body=stream(*WORDS, usage(completion_tokens=-7, prompt_tokens=-1)), marks=frozenset({"usage_absurd"})
    ),
    "a million tokens counted for two words": Hostile(
        body=stream(*WORDS, usage(completion_tokens=1_000_000)), marks=frozenset({"usage_absurd"})
    ),
    "running usage of 10**30": Hostile(
        body=stream(chunk("hi", usage={"completion_tokens": HUGE}), WORDS[1]), marks=frozenset({"usage_absurd"})
    ),
    "more cached tokens than the prompt has": Hostile(
        body=stream(*WORDS, usage(prompt_tokens_details={"cached_tokens": 6})), marks=frozenset({"usage_absurd"})
    ),
    "token ids beyond 64 bits": Hostile(
        body=stream(
            {"choices": [{"index": 0, "text": "", "delta": {"content": "hi"}, "token_ids": [2**63]}]}, WORDS[1], usage()
        ),
        marks=frozenset({"usage_absurd"}),
    ),
    "figures of its own that no float holds": Hostile(
        body=stream(*WORDS, json.dumps({**usage(), "metrics": {"a": HUGE, "b": "N"}}).replace('"N"', "1e999").encode())
    ),
    "an error code of 10**30": Hostile(
        body=stream(WORDS[0], {"error": {"message": "no", "code": HUGE}}), kind="in_band", tokens=1, text="hi"
    ),
    "an error with half a surrogate pair": Hostile(
        body=stream(WORDS[0], b'{"error": {"message": "no \\ud83d"}}'), kind="in_band", tokens=1, text="hi"
    ),
    "an error nested a hundred thousand deep": Hostile(body=DEEP, kind="malformed", tokens=None, text=""),
    "a surrogate pair split over two chunks": Hostile(
        body=stream(chunk("hi \ud83d"), chunk("\ude00", finish="stop"), usage()), text="hi 😀"
    ),
    "half a surrogate pair": Hostile(
        body=stream(chunk("hi \ud83d"), chunk(" there", finish="stop"), usage()),
        text="hi \ufffd there",
        marks=frozenset({"surrogates_replaced"}),
    ),
    "half a surrogate pair at the end": Hostile(
        body=stream(chunk("hi"), chunk(" \ud83d", finish="stop"), usage()),
        text="hi \ufffd",
        marks=frozenset({"surrogates_replaced"}),
    ),
    "two choices for one": Hostile(
        body=stream(*WORDS, chunk("no", index=1), chunk(" no", index=1, finish="stop"), usage(completion_tokens=4)),
        marks=frozenset({"more_choices"}),
    ),
    "a hundred thousand choices": Hostile(
        body=stream(*WORDS, *(chunk("no", index=i) for i in (*range(-9, 0), *range(1, 100_000))), usage()),
        marks=frozenset({"more_choices"}),
    ),
    "another model's name": Hostile(
        body=stream(*({**one, "model": "other-7b"} for one in WORDS), usage()), marks=frozenset({"other_model"})
    ),
    "a normal stop without text": Hostile(
        body=stream(chunk(finish="stop"), usage(completion_tokens=1)),
        tokens=1,
        text="",
        marks=frozenset({"stop_without_text"}),
    ),
    "reasoning without an answer": Hostile(
        body=stream(
            {"choices": [{"index": 0, "delta": {"reasoning": "hm"}}]},
            {"choices": [{"index": 0, "delta": {"reasoning": " hm"}, "finish_reason": "length"}]},
            usage(),
        ),
        text="",
    ),
    "a finish_reason of a megabyte": Hostile(
        body=stream(WORDS[0], chunk(finish="f" * 2**20)), kind="in_band", tokens=1, text="hi"
    ),
}


@contextmanager
def saying(hostile: Hostile, models: bytes = b'{"data":[{"id":"small"}]}', *, packed: bool = False) -> Iterator[str]:
    """A server that lists one model and answers every request alike; yields its base URL.

    packed: whether the list of models is compressed.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._say(200, models, gzip=packed)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._say(hostile.status, hostile.body, gzip=hostile.gzip)

        def _say(self, status: int, body: bytes, *, gzip: bool) -> None:
            self.send_response(status)
            if gzip:
                self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            try:
                self.wfile.write(body)
            except OSError:
                self.close_connection = True

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("name", ANSWERS)
def test_a_hostile_answer_leaves_a_readable_run_in_bounded_memory(name: str, tmp_path: Path) -> None:
    hostile, run = ANSWERS[name], tmp_path / "run"
    with saying(hostile) as url:
        asked = ["--backend=openai", f"--base-url={url}", "--model=small", "--dataset=quickstart", "--problems=2"]
        flags = ["--prompt=math", "--budget=96", "--price=1/2", "--quiet", f"--out={run}"]
        report = ["report", str(run), "--format=json", f"--output={tmp_path / 'report.json'}"]
        told = json.dumps([[*asked, *flags], report, ["run", f"--resume={run}", "--quiet"]])
        ended = subprocess.run([sys.executable, "-c", PROGRAM, told], capture_output=True, text=True, check=False)
    assert "Traceback" not in ended.stderr, ended.stderr
    said = json.loads(ended.stdout.splitlines()[-1])
    failed = 1 if hostile.kind else 0
    assert said["statuses"] == [failed, 0, failed], ended.stderr
    assert said["mib"] < MAX_MIB
    sys.stderr.write(f"{name}: {said['mib']:.0f} MiB\n")
    rows = [row for row in rows_of(run) if row.phase == "measured"]
    assert len(rows) >= 2
    for row in rows:
        check(row, hostile)
    reported = json.loads((tmp_path / "report.json").read_text())
    codes = {warning["code"] for warning in reported["doubts"]}
    assert hostile.marks <= codes
    assert "rows_set_aside" not in codes


@pytest.mark.parametrize("flag", ["--base-url={}", "--attach=vllm={}"])
def test_a_list_of_models_that_unfolds_without_end_is_bounded_too(flag: str, tmp_path: Path) -> None:
    flags = ["--model=small", "--dataset=quickstart", "--problems=2", "--quiet", f"--out={tmp_path / 'run'}"]
    flags += ["--backend=openai"] if "base-url" in flag else []
    with saying(ANSWERS["usage of 10**30"], bomb(b" "), packed=True) as url:
        told = json.dumps([[flag.format(url), *flags]])
        ended = subprocess.run([sys.executable, "-c", PROGRAM, told], capture_output=True, text=True, check=False)
    said = json.loads(ended.stdout.splitlines()[-1])
    assert said["statuses"][0] in (1, 2), ended.stderr
    assert "an answer of more than 32 MiB" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert said["mib"] < MAX_MIB


def test_a_list_of_models_that_is_compressed_is_read(tmp_path: Path) -> None:
    with saying(ANSWERS["usage of 10**30"], zlib.compress(b'{"data":[{"id":"large"}]}', wbits=31), packed=True) as url:
        asked = ["--backend=openai", f"--base-url={url}", "--model=small", "--dataset=quickstart", "--problems=2"]
        told = json.dumps([[*asked, f"--out={tmp_path / 'run'}"]])
        ended = subprocess.run([sys.executable, "-c", PROGRAM, told], capture_output=True, text=True, check=False)
    assert "serves large, not small" in ended.stderr


def check(row: RequestRecord, hostile: Hostile) -> None:
    """A row says what the answer was, and nothing in it is beyond the format."""
    assert (row.error.kind if row.error else None) == hostile.kind
    assert hostile.marks <= set(row.doubts)
    assert not {"usage_absurd", "more_choices", "other_model", "surrogates_replaced"} & set(row.doubts) - hostile.marks
    assert sum(row.timeline.chars) == len(row.full_text)
    if hostile.gzip:
        assert len(row.text) < 1_000_000
        return
    assert row.text == hostile.text
    assert row.completion_tokens == hostile.tokens
    assert all(count is None or 0 <= count < 2**31 for count in (row.prompt_tokens, row.cached_tokens))
    assert row.finish_reason is None or len(row.finish_reason) < 100
