"""The command line of each node's part is one that the real engine parses, and means what the part says."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from tests.engines.test_argv_parsed import DEVICES, parse
from tts_compare.backends import BACKENDS, KeyByFile, Part, Spanning
from tts_compare.domain import Setting
from tts_compare.installer.registry import EnginePython

SPANNING = tuple(name for name, backend in BACKENDS.items() if isinstance(backend, Spanning))
RANKS = (0, 1)


@pytest.mark.parametrize("engine", SPANNING)
def test_every_part_is_parsed_and_told_where_the_others_are(
    engine: str, engine_python: Callable[[str], EnginePython]
) -> None:
    python, backend = engine_python(engine), BACKENDS[engine]
    assert isinstance(backend, Spanning)
    cases = list(product(DEVICES, ((4, 1), (2, 2)), RANKS))
    lines = []
    for device, (tp, pp), rank in cases:
        setting = Setting(
            backend=engine,
            model="org/Model-7B",
            max_model_len=4096,
            device=device,
            nodes=2,
            tensor_parallel=tp,
            pipeline_parallel=pp,
        )
        whole = backend.argv(setting, python="x", host="10.0.0.1", port=23_456, served_name="m", version=python.version)
        part = Part(rank=rank, count=2, address=f"10.0.0.{rank + 1}", head="10.0.0.1", port=24_000)
        lines.append(list(backend.part_argv(setting, whole, part)[3:]))
    told = parse(python, engine, lines)
    assert [result.get("error") for result in told] == [None] * len(cases)
    for (device, (tp, pp), rank), result in zip(cases, told, strict=True):
        assert (result["nnodes"], result["node_rank"]) == (2, rank)
        if engine == "vllm":
            assert (result["master_addr"], result["master_port"]) == ("10.0.0.1", 24_000)
            assert result["headless"] is (rank > 0)
            assert result["distributed_executor_backend"] == "mp"
            assert (result["tensor_parallel_size"], result["pipeline_parallel_size"]) == (tp, pp)
            assert (result["port"] == 23_456) is (rank == 0), "a part that answers nobody is told no address"
        else:
            assert result["dist_init_addr"] == "10.0.0.1:24000"
            assert (result["tp_size"], result["pp_size"]) == (tp, pp)
        assert device in DEVICES


KEY_FROM_FILE = """
import sys
from sglang.srt.server_args import prepare_server_args
print("key:", prepare_server_args(sys.argv[1:]).api_key)
"""


def test_sglang_takes_its_key_from_the_file_that_its_flag_names(
    engine_python: Callable[[str], EnginePython], tiny_model: Path, tmp_path: Path
) -> None:
    backend = BACKENDS["sglang"]
    assert isinstance(backend, KeyByFile)
    flag, text = backend.key_file()
    file = tmp_path / "key.yaml"
    file.write_text(text.replace("{key}", "s3cret-_x"))
    argv = ("--model-path", str(tiny_model), "--device", "cpu", flag, str(file))
    done = subprocess.run(
        [str(engine_python("sglang").path), "-c", KEY_FROM_FILE, *argv], capture_output=True, text=True, check=False
    )
    assert "key: s3cret-_x" in done.stdout, done.stderr[-2000:]
