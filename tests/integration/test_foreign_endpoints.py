"""Hosted endpoints as others build them: each server here says what the named program said, with less text."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.integration.running import rows_of
from tts_compare.cli import main

STREAM = "text/event-stream; charset=utf-8"

# optillm 0.4.0, approach bon: the stream is one chunk without usage, the whole answer has the tokens of all samples.
OPTILLM_MODELS = b"""{"data":[{"created":0,"id":"small","object":"model","owned_by":"me"}],"object":"list"}"""
OPTILLM_STREAM = b"""\
data: {"id": "chatcmpl-1795633120908", "object": "chat.completion.chunk", "created": 1795633120, "model": "small", \
"choices": [{"delta": {"role": "assistant", "content": "Six times seven is 42. The answer is \\\\boxed{42}."}, \
"index": 0, "finish_reason": "stop"}]}

data: [DONE]

"""
OPTILLM_WHOLE = b"""{"choices":[{"finish_reason":"stop","index":0,"message":{"content":"Six times seven is 42. \
The answer is \\\\boxed{42}.","role":"assistant"}}],"model":"small","usage":{"completion_tokens":689,\
"completion_tokens_details":{"reasoning_tokens":0}}}"""

# llama-cpp-python 0.3.36: a path for a name, a chunk a token, no usage.
PATH = "/models/SmolLM2-135M-Instruct.Q4_1.gguf"
PYTHON_MODELS = (
    b'{"object":"list","data":[{"id":"%s","object":"model","owned_by":"me","permissions":[]}]}' % PATH.encode()
)
PYTHON_STREAM = b"""\
data: {"id": "chatcmpl-1", "model": "m", "created": 1795633589, "object": "chat.completion.chunk", "choices": \
[{"index": 0, "delta": {"role": "assistant"}, "logprobs": null, "finish_reason": null}]}

data: {"id": "chatcmpl-1", "model": "m", "created": 1795633589, "object": "chat.completion.chunk", "choices": \
[{"index": 0, "delta": {"content": " Hey"}, "logprobs": null, "finish_reason": null}]}

data: {"id": "chatcmpl-1", "model": "m", "created": 1795633589, "object": "chat.completion.chunk", "choices": \
[{"index": 0, "delta": {"content": " there"}, "logprobs": null, "finish_reason": null}]}

data: {"id": "chatcmpl-1", "model": "m", "created": 1795633589, "object": "chat.completion.chunk", "choices": \
[{"index": 0, "delta": {}, "logprobs": null, "finish_reason": "length"}]}

data: [DONE]

"""

# llama.cpp's llama-server 0.5.0-dev (of llama-cpp-python 0.3.36): usage behind the last chunk, prompts from its cache.
CPP_MODELS = b"""{"models":[{"name":"smollm2","model":"smollm2","type":"model"}],"object":"list","data":[\
{"id":"smollm2","aliases":["smollm2"],"tags":[],"object":"model","created":1795635115,"owned_by":"llamacpp","meta":{"n_ctx":4096}}]}"""
CPP_STREAM = b"""\
data: {"choices":[{"finish_reason":null,"index":0,"delta":{"role":"assistant","content":null}}],"id":"chatcmpl-hV"}

data: {"choices":[{"finish_reason":null,"index":0,"delta":{"content":"Hello"}}],"id":"chatcmpl-hV"}

data: {"choices":[{"finish_reason":null,"index":0,"delta":{"content":" there"}}],"id":"chatcmpl-hV"}

data: {"choices":[{"finish_reason":"length","index":0,"delta":{}}],"id":"chatcmpl-hV"}

data: {"choices":[],"object":"chat.completion.chunk","usage":{"completion_tokens":2,"prompt_tokens":35,\
"total_tokens":37,"prompt_tokens_details":{"cached_tokens":26}},"timings":{"cache_n":26,"prompt_n":9,"prompt_ms":988.081,"predicted_n":2}}

data: [DONE]

"""
NOT_FOUND = b"<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n<h1>Not Found</h1>"


Refusal = Callable[[dict[str, Any]], tuple[int, bytes] | None]


@contextmanager
def saying(models: bytes, stream: bytes, whole: bytes = b"{}", *, refusal: Refusal = lambda _: None) -> Iterator[str]:
    """A server of ``/models`` and ``/chat/completions`` that answers every request alike; yields its base URL.

    refusal: status and body of what is said to a request's body instead, None where it is taken.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._say(200, "application/json", models)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if not self.path.endswith("/chat/completions"):
                self._say(404, "text/html", NOT_FOUND)
            elif refused := refusal(body):
                self._say(refused[0], "application/json", refused[1])
            elif body["stream"]:
                self._say(200, STREAM, stream)
            else:
                self._say(200, "application/json", whole)

        def _say(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

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


def compare(url: str, out: Path, *flags: str, prompt: str = "math") -> int:
    asked = ("--dataset=quickstart", "--problems=3", f"--prompt={prompt}", "--price=1/2", f"--out={out}")
    return main(["--backend=openai", f"--base-url={url}", *asked, *flags])


def told(run: Path) -> tuple[dict[str, Any], set[str]]:
    """What the endpoint was learnt to take, and the codes of the doubts of the run's points."""
    manifest = json.loads((run / "manifest.json").read_text())
    (setting,) = manifest["settings"].values()
    points = json.loads((run / "points.json").read_text())
    return setting["dialect"], {code for point in points for code in point["doubts"]}


def test_optillms_uncounted_single_chunk_is_given_up_for_whole_answers_with_counts(tmp_path: Path) -> None:
    with saying(OPTILLM_MODELS, OPTILLM_STREAM, OPTILLM_WHOLE) as url:
        assert compare(url, tmp_path / "run", "--model=bon-small", "--budget=16,700") == 0
    dialect, doubts = told(tmp_path / "run")
    assert dialect["stream"] is False
    rows = [row for row in rows_of(tmp_path / "run") if row.phase == "measured" and row.budget == 700]
    assert {(row.completion_tokens, row.tokens_source) for row in rows} == {(689, "usage")}
    assert {row.text[-11:] for row in rows} == {r"\boxed{42}."}
    assert {"model_not_listed", "not_streamed", "derived_short", "cost_unknown"} <= doubts
    assert not {"tokens_estimated", "price_missing"} & doubts


def test_an_endpoint_without_text_completions_says_so_where_nothing_succeeded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with saying(OPTILLM_MODELS, OPTILLM_STREAM) as url:
        assert compare(url, tmp_path / "run", "--model=small", "--budget=16", prompt="fewshot") == 1
    assert "http_4xx 404: <!doctype html>" in capsys.readouterr().err


def test_llama_cpp_pythons_uncounted_chunks_stay_a_stream_of_estimated_tokens(tmp_path: Path) -> None:
    with saying(PYTHON_MODELS, PYTHON_STREAM) as url:
        assert compare(url, tmp_path / "run", f"--model={PATH}", "--budget=1,2") == 0
    dialect, doubts = told(tmp_path / "run")
    assert dialect["stream"] is True
    rows = [row for row in rows_of(tmp_path / "run") if row.phase == "measured" and row.budget == 2]
    assert {(row.completion_tokens, row.tokens_source, row.finish_reason) for row in rows} == {
        (2, "estimated", "length")
    }
    assert {"tokens_estimated", "cost_unknown"} <= doubts
    assert not {"prefix_cache_hits", "derived_short"} & doubts


def test_an_uncounted_answer_is_charged_at_its_most_where_dollars_are_bounded(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with saying(PYTHON_MODELS, PYTHON_STREAM) as url:
        flags = (f"--model={PATH}", "--budget=1000", "--price=0/1000")
        assert compare(url, run, *flags, "--budget-usd=2.5") == 1
        kept = [row for row in rows_of(run) if row.phase == "measured"]
        assert len(kept) == 2, "1 USD a request, whatever it made, and a little for warming up"
        assert main(["run", f"--resume={run}", "--budget-usd=2.5"]) == 1
    again = [row for row in rows_of(run) if row.phase == "measured"]
    assert again == kept, "a run that is taken up counts what it spent in the same way"


def test_llama_cpps_usage_is_taken_and_its_cache_warned_of(tmp_path: Path) -> None:
    with saying(CPP_MODELS, CPP_STREAM) as url:
        assert compare(url, tmp_path / "run", "--model=smollm2", "--budget=2") == 0
    _, doubts = told(tmp_path / "run")
    row = next(row for row in rows_of(tmp_path / "run") if row.phase == "measured")
    assert (row.prompt_tokens, row.cached_tokens, row.completion_tokens, row.tokens_source) == (35, 26, 2, "usage")
    assert row.timeline.tokens == (1, 1)
    assert "prefix_cache_hits" in doubts
    assert not {"tokens_estimated", "cost_unknown", "timeline_estimated"} & doubts


@pytest.mark.parametrize(
    "models",
    [
        b'[{"id":"smollm2","object":"model"}]',  # Together's form
        b'{"data":[{"name":"smollm2"}]}',
        b'{"data":null}',
        b'{"data":5}',
        b'["smollm2"]',
        b"<html>",
        b"",
    ],
)
def test_a_list_of_models_in_another_form_is_no_reason_to_stop(tmp_path: Path, models: bytes) -> None:
    with saying(models, CPP_STREAM) as url:
        assert compare(url, tmp_path / "run", "--model=smollm2", "--budget=2") == 0


def test_a_name_that_a_bare_list_does_not_have_stops_before_anything_is_spent(tmp_path: Path) -> None:
    with saying(b'[{"id":"smollm2","object":"model"}]', CPP_STREAM) as url:
        assert compare(url, tmp_path / "run", "--model=smolm2", "--budget=2") == 2


# Mistral's API, of a field that it does not know, as its users report it.
MISTRAL_REFUSAL = b"""{"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body","seed"],"msg":\
"Extra inputs are not permitted","input":0}]},"type":"invalid_request_error","param":null,"code":null}"""


def test_a_refused_field_is_left_out_though_the_endpoint_was_not_ready_at_first(tmp_path: Path) -> None:
    begun: list[str] = []

    def refusal(body: dict[str, Any]) -> tuple[int, bytes] | None:
        begun.append("")
        if len(begun) == 1:
            return 503, b'{"error":{"message":"the model is loading"}}'
        return (422, MISTRAL_REFUSAL) if "seed" in body else None

    with saying(CPP_MODELS, CPP_STREAM, refusal=refusal) as url:
        assert compare(url, tmp_path / "run", "--model=smollm2", "--budget=2") == 0
    dialect, _ = told(tmp_path / "run")
    assert dialect["seed"] is False
    assert all(row.ok for row in rows_of(tmp_path / "run") if row.phase == "measured")
