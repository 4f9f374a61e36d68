"""An interpreter that passes for an engine's environment and starts the embedded server in the engine's place.

It reads vLLM's and SGLang's own flags, so that the whole program runs as with a real engine, in a second. It shows
nothing about an engine: that is what tests/engines is for.
"""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

_SERVER = """
import argparse, os, sys
from tts_compare.selftest import server

if __name__ == "__main__":  # imported, it is looked at by the doctor
    flags = argparse.ArgumentParser(allow_abbrev=False)
    for name in ("model", "model-path", "served-model-name", "port", "host", "max-model-len", "context-length"):
        flags.add_argument("--" + name)
    flags.add_argument("--no-enable-prefix-caching", action="store_true")
    known, rest = flags.parse_known_args()
    if "--fail-to-start" in rest:
        print("error: unrecognized arguments: --fail-to-start", file=sys.stderr)
        sys.exit(2)
    argv = ["--host", known.host, "--port", known.port, "--model", known.served_model_name, "--style", {style!r}]
    argv += ["--max-model-len", known.max_model_len or known.context_length or "4096"]
    if os.environ.get("VLLM_API_KEY"):
        argv += ["--api-key-env", "VLLM_API_KEY"]
    sys.exit(server.main(argv + {extra!r}))
"""

# vLLM's server as it is called from 0.32 on, and before.
_MODULES = {
    "vllm": ("vllm/entrypoints/launchers/api_server/entry.py", "vllm/entrypoints/openai/api_server.py"),
    "sglang": ("sglang/launch_server.py",),
}


def engine_python(directory: Path, engine: str, *, version: str = "0.32.0", extra: Sequence[str] = ()) -> Path:
    """The path of such an interpreter. extra: flags of ``tts_compare.selftest.server``."""
    home = directory / f"standin-{engine}"
    for module in (home / path for path in _MODULES[engine]):
        module.parent.mkdir(parents=True, exist_ok=True)
        for package in [module.parent, *module.parent.parents]:
            if package == home:
                break
            (package / "__init__.py").touch()
        module.write_text(textwrap.dedent(_SERVER).format(style=engine, extra=list(extra)))
    info = home / f"{engine}-{version}.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {engine}\nVersion: {version}\n")
    python = home / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{home}" exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return python


def model_directory(directory: Path, **config: object) -> Path:
    """A directory that passes for a model: a config.json, no weights."""
    home = directory / "tiny"
    home.mkdir(parents=True, exist_ok=True)
    shape = {
        "architectures": ["Qwen2ForCausalLM"],
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "max_position_embeddings": 4096,
        "dtype": "float32",
    }
    (home / "config.json").write_text(json.dumps(shape | config))
    return home


def tokenizer_file(directory: Path, texts: Sequence[str]) -> Path:
    """A ``tokenizer.json`` that cuts these texts as the embedded server does, each piece a token of its own."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    from tts_compare.selftest import tokens

    pieces = dict.fromkeys(piece for text in texts for piece in tokens.pieces(text))
    tokenizer = Tokenizer(models.WordLevel({piece: at for at, piece in enumerate(["<unk>", *pieces])}, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(
        Regex(r" ?[\x21-\x7e]{1,4}|[\x00-\x20\x7f]|[^\x00-\x7f]"), "isolated"
    )
    path = directory / "tokenizer.json"
    tokenizer.save(str(path))
    return path


def replies_file(directory: Path, problems: Sequence[tuple[str, str]], *, correct_rate: float = 1.0) -> Path:
    """Replies that box each problem's answer after some words: (text of the problem, answer)."""
    path = directory / "replies.jsonl"
    rows = [
        {
            "match": problem,
            "text": f"We look at it step by step and find what is asked. The answer is $\\boxed{{{answer}}}$.",
            "correct_rate": correct_rate,
        }
        for problem, answer in problems
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
