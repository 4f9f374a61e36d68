"""Other benchmarks driven at the embedded server, and what they say of a truth that is known.

    python -m benchmarks.client --peers --peer vllm=/path/to/python --peer guidellm=/path/to/guidellm --tokenizer DIR

The server sends the role chunk at once, the first token after 200 ms, then five tokens a chunk at 200 tokens a second.
Flags are those of vLLM 0.32, GuideLLM 0.8.1 and AIPerf 0.13; a tokenizer (a Hugging Face directory) is theirs to want.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop

from tts_compare.client import open_client, send
from tts_compare.domain import Endpoint, RequestRecord, RowKey
from tts_compare.selftest import embedded_server

SERVER = ("--model", "m", "--first-token-s", "0.2", "--token-rate", "200", "--tokens-per-chunk", "5")
FAULTS = ("--faults", "late_role=0.2:1.0")
TRUTH = "TTFT 200 ms, TPOT 4.8-5.0 ms by the length of the answer (5 tokens every 25 ms)"
_REQUESTS = 8
_VLLM = "import argparse; from vllm.benchmarks.serve import add_cli_args, main; "
_VLLM += "p = argparse.ArgumentParser(); add_cli_args(p); main(p.parse_args())"
Seen = tuple[float, float]
"""Mean TTFT and mean TPOT, ms."""


def vllm(program: str, url: str, tokenizer: Path, folder: Path) -> Seen:
    """``vllm bench serve``; ``program`` is the Python that has vLLM, since a repackage may lack the command."""
    command = [program, "-c", _VLLM, "--backend", "openai-chat", "--endpoint", "/v1/chat/completions", "--base-url"]
    command += [url.removesuffix("/v1"), "--model", "m", "--tokenizer", str(tokenizer), "--dataset-name", "random"]
    command += ["--random-input-len", "20", "--random-output-len", "100", "--num-prompts", str(_REQUESTS)]
    _run([*command, "--max-concurrency", "2", "--save-result", "--result-filename", str(folder / "out.json")], folder)
    said = _json(folder / "out.json")
    return said["mean_ttft_ms"], said["mean_tpot_ms"]


def guidellm(program: str, url: str, tokenizer: Path, folder: Path) -> Seen:
    """GuideLLM."""
    prompts = folder / "prompts.jsonl"
    lines = (json.dumps({"prompt": f"one two three {i}"}) for i in range(_REQUESTS))
    prompts.write_text("\n".join(lines) + "\n", encoding="utf-8")
    command = [program, "run", "--backend", f"kind=openai_http,target={url.removesuffix('/v1')},model=m"]
    command += ["--profile", "kind=concurrent,streams=2", "--constraint", f"kind=max_requests,count={_REQUESTS}"]
    command += ["--data", f"kind=json_file,path={prompts}", "--tokenizer", f"kind=hf_auto,model={tokenizer}"]
    _run([*command, "--output", f"kind=json,path={folder / 'out.json'}", "--disable-console-interactive"], folder)
    metrics = _json(folder / "out.json")["benchmarks"][0]["metrics"]
    first, each = (metrics[name]["successful"]["mean"] for name in ("time_to_first_token_ms", "inter_token_latency_ms"))
    return first, each  # what it calls ITL is TPOT in vLLM's words


def aiperf(program: str, url: str, tokenizer: Path, folder: Path) -> Seen:
    """AIPerf; it finds a tokenizer by a relative path only."""
    command = [program, "profile", "--model", "m", "--url", url.removesuffix("/v1"), "--endpoint-type", "chat"]
    command += ["--streaming", "--request-count", str(_REQUESTS), "--concurrency", "2", "--ui", "none", "--tokenizer"]
    command += [os.path.relpath(tokenizer, folder), "--synthetic-input-tokens-mean", "20"]
    _run([*command, "--output-tokens-mean", "100", "--artifact-dir", str(folder / "out")], folder)
    said = _json(folder / "out" / "profile_export_aiperf.json")
    return said["time_to_first_token"]["avg"], said["inter_token_latency"]["avg"]


TOOLS: dict[str, Callable[[str, str, Path, Path], Seen]] = {"vllm": vllm, "guidellm": guidellm, "aiperf": aiperf}


def reports(programs: dict[str, str], tokenizer: Path | None) -> list[str]:
    """A Markdown table of what each installed tool says, beside the truth and our own client."""
    return uvloop.run(_reports(programs, tokenizer.resolve() if tokenizer else None))


async def _reports(programs: dict[str, str], tokenizer: Path | None) -> list[str]:
    lines = [f"**What other benchmarks report** of a server whose truth is: {TRUTH}", ""]
    lines += ["| tool | mean TTFT ms | mean TPOT ms |", "|---|---|---|"]
    async with embedded_server((*SERVER, *FAULTS)) as url:
        lines.append("| tts-compare | {:.1f} | {:.2f} |".format(*await _ours(url)))
        for name, tool in TOOLS.items():
            program = programs.get(name) or shutil.which(name)
            if program is None or tokenizer is None:
                why = "not installed here" if program is None else "needs --tokenizer"
                lines.append(f"| {name} | {why} | |")
                continue
            with tempfile.TemporaryDirectory() as folder:
                first, each = await asyncio.to_thread(tool, program, url, tokenizer, Path(folder))
            lines.append(f"| {name} | {first:.1f} | {each:.2f} |")
    return [*lines, ""]


async def _ours(url: str) -> Seen:
    async with open_client(Endpoint(base_url=url, model="m")) as client:

        async def one(i: int) -> RequestRecord:
            options = {"include_usage": True, "continuous_usage_stats": True}
            asked = {"model": "m", "messages": [{"role": "user", "content": f"one two {i}"}], "max_tokens": 100}
            key = RowKey(setting="s", method="m", budget=0, load="c2", problem=str(i))
            body = {**asked, "ignore_eos": True, "stream": True, "stream_options": options}
            return (await send(client, path="/chat/completions", body=body, key=key, phase="measured"))[0]

        rows = [await one(i) for i in range(_REQUESTS)]
    firsts, eaches = [], []
    for row in rows:
        if not row.ok or row.sent_ns is None or row.first_token_ns is None or row.last_token_ns is None:
            sys.exit(f"our own client failed: {row.error}")
        firsts.append((row.first_token_ns - row.sent_ns) / 1e6)
        eaches.append((row.last_token_ns - row.first_token_ns) / 1e6 / ((row.completion_tokens or 0) - 1))
    return sum(firsts) / len(firsts), sum(eaches) / len(eaches)


def _run(command: list[str], folder: Path) -> None:
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    if "aiperf" in command[0]:
        env.pop("HF_HUB_OFFLINE")  # with it, AIPerf takes a path for a repository's name
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        sys.exit(f"{command[0]} failed: {(done.stderr or done.stdout)[-500:]}")


def _json(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value
