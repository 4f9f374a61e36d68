"""Runs under an engine's Python: parses command lines with the engine's own parser, without loading anything.

Standard input: a JSON list of argument lists. Standard output, last line: a JSON list with, for each, either
``{"error": ...}`` or the values it stands for, under the names of the engine's own options.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import json
import sys
from collections.abc import Callable
from typing import Any

WANTED = {
    "vllm": (
        "model", "revision", "host", "port", "served_model_name", "dtype", "max_model_len", "max_num_seqs", "seed",
        "tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size", "enable_prefix_caching",
        "generation_config", "speculative_config", "distributed_executor_backend", "enforce_eager",
        "nnodes", "node_rank", "master_addr", "master_port", "headless",
    ),
    "sglang": (
        "model_path", "revision", "host", "port", "served_model_name", "dtype", "context_length", "random_seed",
        "max_running_requests", "tp_size", "pp_size", "dp_size", "disable_radix_cache", "sampling_defaults", "device",
        "speculative_algorithm", "speculative_num_draft_tokens", "speculative_num_steps", "speculative_eagle_topk",
        "speculative_draft_model_path", "max_total_tokens", "enable_metrics", "enable_cache_report", "sleep_on_idle",
        "nnodes", "node_rank", "dist_init_addr",
    ),
    "transformers": ("force_model", "host", "port", "dtype", "device", "default_seed"),
}  # fmt: skip


def vllm() -> Callable[[list[str]], Any]:
    """Parser, engine arguments, and the speculation's fields and method as vLLM's own types have them."""
    import dataclasses

    from pydantic import TypeAdapter
    from vllm.config.speculative import SpeculativeConfig, SpeculativeMethod
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    places = ("common", "launchers", "openai")  # from 0.33 on, in 0.32, and before
    found = next(name for name in places if importlib.util.find_spec(f"vllm.entrypoints.{name}.cli_args"))
    module = importlib.import_module(f"vllm.entrypoints.{found}.cli_args")
    make_arg_parser, validate_parsed_serve_args = module.make_arg_parser, module.validate_parsed_serve_args
    parser = make_arg_parser(FlexibleArgumentParser())
    fields = {field.name for field in dataclasses.fields(SpeculativeConfig)}

    def parse(argv: list[str]) -> Any:
        parsed = parser.parse_args(argv)
        validate_parsed_serve_args(parsed)
        speculative = AsyncEngineArgs.from_cli_args(parsed).speculative_config
        if speculative is not None:
            unknown = set(speculative) - fields
            if unknown:
                raise ValueError(f"SpeculativeConfig has no {unknown}")
            TypeAdapter(SpeculativeMethod).validate_python(speculative["method"])
        return parsed

    return parse


def sglang() -> Callable[[list[str]], Any]:
    """Parser, its record of arguments, and the algorithm's name."""
    import argparse

    from sglang.srt.server_args import ServerArgs
    from sglang.srt.speculative.spec_info import SpeculativeAlgorithm

    parser = argparse.ArgumentParser(prog="sglang")
    ServerArgs.add_cli_args(parser)

    def parse(argv: list[str]) -> Any:
        record = ServerArgs.from_cli_args(parser.parse_args(argv))
        if record.speculative_algorithm not in (None, "NEXTN"):  # NEXTN becomes EAGLE before names are looked up
            SpeculativeAlgorithm.from_string(record.speculative_algorithm)
        return record

    return parse


def transformers() -> Callable[[list[str]], Any]:
    """The command ``serve`` as its command line declares it."""
    from types import SimpleNamespace

    from transformers.cli.transformers import app

    serve = app.commands["serve"]

    def parse(argv: list[str]) -> Any:
        assert argv[0] == "serve"
        return SimpleNamespace(**serve.make_context("serve", argv[1:]).params)

    return parse


def main(engine: str) -> None:
    parse = {"vllm": vllm, "sglang": sglang, "transformers": transformers}[engine]()
    results = []
    for argv in json.load(sys.stdin):
        said = io.StringIO()
        try:
            with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
                parsed = parse(argv)
            results.append({name: getattr(parsed, name) for name in WANTED[engine]})
        except SystemExit:
            results.append({"error": said.getvalue()[-300:]})
        except Exception as error:  # noqa: BLE001 - whatever the engine's validation raises is the finding
            results.append({"error": f"{error!r}: {error}"[:300]})
    sys.stdout.write("\n" + json.dumps(results, default=str) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
