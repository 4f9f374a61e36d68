"""The embedded server as a program: ``python -m tts_compare.selftest.server --port 0``.

Prints one JSON line, ``{"port": N, "url": ".../v1", "pid": N}``, once it listens; SIGTERM or SIGINT ends it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import ssl
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tts_compare.errors import TTSCompareError
from tts_compare.selftest.faults import FAULTS, parse_shares
from tts_compare.selftest.http import ServerConnection
from tts_compare.selftest.play import Pace
from tts_compare.selftest.replies import read_planted
from tts_compare.selftest.service import Options, Service


def parser() -> argparse.ArgumentParser:
    """The server's flags."""
    faults = "; ".join(f"{name}: {what}" for name, what in FAULTS.items())
    flags = argparse.ArgumentParser(prog="python -m tts_compare.selftest.server", description=__doc__)
    flags.add_argument("--host", default="127.0.0.1")
    flags.add_argument("--port", type=int, default=0, help="0: any free one")
    flags.add_argument("--model", default="selftest", help="the served model's name")
    flags.add_argument("--any-model", action="store_true", help="accept every model name, as SGLang does")
    flags.add_argument("--max-model-len", type=int, default=32768)
    flags.add_argument("--api-key-file", type=Path, help="a file that holds the key to ask for")
    flags.add_argument("--api-key-env", help="the environment variable that holds it")
    flags.add_argument("--style", choices=("vllm", "sglang"), default="vllm", help="whose stream to speak")
    flags.add_argument("--token-rate", type=float, default=0.0, help="tokens a second of each stream; 0: at once")
    flags.add_argument("--first-token-s", type=float, default=0.0, help="seconds until the first token")
    flags.add_argument("--tokens-per-chunk", type=int, default=1)
    flags.add_argument("--start-delay", type=float, default=0.0, help="seconds until it listens")
    flags.add_argument(
        "--replies", type=Path, help='JSON lines of {"match", "text", "reasoning", "correct_rate", "wrong"}'
    )
    flags.add_argument("--faults", default="", help=f"NAME[=VALUE]:SHARE,... Faults: {faults}")
    flags.add_argument("--seed", type=int, default=0, help="which requests the faults befall")
    flags.add_argument("--stamp", action="store_true", help='put "sent_ns", the instant it was sent, into every chunk')
    flags.add_argument("--request-metrics", action="store_true", help="vLLM's per-request metrics in the usage chunk")
    flags.add_argument("--prefix-caching", action="store_true", help="and prompt_tokens_details in the usage")
    flags.add_argument("--keeps-cache", action="store_true", help="say that the cache was emptied, and do not")
    flags.add_argument("--kv-usage", type=float, default=0.0, help="the share of its KV cache that it says is in use")
    flags.add_argument("--preempts", action="store_true", help="count one preemption a request")
    flags.add_argument("--tls-cert", type=Path)
    flags.add_argument("--tls-key", type=Path)
    return flags


def options_of(args: argparse.Namespace) -> Options:
    """Read the flags. Raises: UsageError."""
    key = args.api_key_file.read_text(encoding="utf-8").strip() if args.api_key_file else None
    if args.api_key_env:
        key = os.environ.get(args.api_key_env) or key
    return Options(
        model=args.model,
        api_key=key,
        pace=Pace(
            first_token_s=args.first_token_s,
            token_rate=args.token_rate,
            tokens_per_chunk=max(1, args.tokens_per_chunk),
        ),
        style=args.style,
        max_model_len=args.max_model_len,
        planted=read_planted(args.replies) if args.replies else (),
        faults=parse_shares(args.faults),
        seed=args.seed,
        stamp=args.stamp,
        request_metrics=args.request_metrics,
        prefix_caching=args.prefix_caching,
        keeps_cache=args.keeps_cache,
        kv_usage=args.kv_usage,
        preempts=args.preempts,
        any_model=args.any_model,
    )


async def serve(args: argparse.Namespace, options: Options) -> None:
    """Listen, say so on stdout, and serve until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    service = Service(options)
    context = None
    if args.tls_cert:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(args.tls_cert, args.tls_key)
    server = await loop.create_server(
        lambda: ServerConnection(service.answer), args.host, args.port, ssl=context, backlog=2048
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    port = server.sockets[0].getsockname()[1]
    scheme = "https" if context else "http"
    print(json.dumps({"port": port, "url": f"{scheme}://{args.host}:{port}/v1", "pid": os.getpid()}), flush=True)  # noqa: T201 - its protocol
    await stop.wait()
    server.close()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the server."""
    args = parser().parse_args(argv)
    try:
        options = options_of(args)
        time.sleep(args.start_delay)
        run = asyncio.run
        if sys.platform != "win32":
            import uvloop

            run = uvloop.run
        run(serve(args, options))
    except (TTSCompareError, OSError) as error:
        sys.stderr.write(f"selftest server: error: {error}\n")
        return 2 if isinstance(error, TTSCompareError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
