"""The line that explains a failed start, in logs shortened from those of vLLM 0.32.0 and SGLang 0.5.23."""

from __future__ import annotations

import pytest

from tts_compare.backends import BACKENDS

NANOBIND = """nanobind: leaked 3 instances!
 - leaked function "create_fcmpOEQ"
 - ... skipped remainder
nanobind: this is likely caused by a reference counting issue in the binding code.
"""

CASES = {
    "vllm: an argument it does not have": (
        "vllm",
        "                     [--enable-log-requests | --no-enable-log-requests]\n"
        "                     [model_tag]\napi_server.py: error: unrecognized arguments: --no-such-flag\n" + NANOBIND,
        "unrecognized arguments: --no-such-flag",
        "engine-args",
    ),
    "vllm: tensor parallel that does not divide": (
        "vllm",
        "pydantic_core._pydantic_core.ValidationError: 1 validation error for VllmConfig\n"
        "  Value error, Total number of attention heads (2) must be divisible by tensor parallel size (3). "
        "[type=value_error, input_value=ArgsKwargs((), {'model_co...), input_type=ArgsKwargs]\n"
        "    For further information visit https://errors.pydantic.dev/2.14/v/value_error\n" + NANOBIND,
        "Value error, Total number of attention heads (2) must be divisible by tensor parallel size (3).",
        "divides the model's heads",
    ),
    "vllm: too long": (
        "vllm",
        "  Value error, User-specified max_model_len (99999) is greater than the derived max_model_len "
        "(max_position_embeddings=8192.0). [type=value_error, x]\n    For further information visit https://e\n",
        "Value error, User-specified max_model_len (99999) is greater than the derived max_model_len "
        "(max_position_embeddings=8192.0).",
        "lower --max-model-len",
    ),
    "vllm: a path that is not there": (
        "vllm",
        'Traceback (most recent call last):\n  File "x.py", line 1, in y\nhuggingface_hub.errors.HFValidationError: '
        "Repo id must be in the form 'repo_name' or 'namespace/repo_name': '/no/model'.\n",
        "huggingface_hub.errors.HFValidationError: Repo id must be in the form 'repo_name' or 'namespace/repo_name': "
        "'/no/model'.",
        "the model path does not exist",
    ),
    "vllm: the engine core's own cause, far above the last": (
        "vllm",
        "(APIServer pid=10) WARNING 11-21 23:10:05 [system_utils.py:255] This can cause `OSError: [Errno 24]`.\n"
        "(EngineCore pid=12) ERROR 11-21 23:10:20 [core.py:1510]     raise ValueError(\n"
        "(EngineCore pid=12) ERROR 11-21 23:10:20 [core.py:1510] ValueError: the weights are upside down\n"
        "Traceback (most recent call last):\n"
        "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}\n" + NANOBIND,
        "ValueError: the weights are upside down",
        "first traceback",
    ),
    "vllm: a number of threads it cannot bind": (
        "vllm",
        "(EngineCore pid=9) ERROR 11-21 23:11:00 [core.py:1510] AssertionError: Not enough allowed NUMA nodes to bind "
        "threads of 2 local CPUWorkers.\nRuntimeError: Engine core initialization failed. See root cause above.\n",
        "AssertionError: Not enough allowed NUMA nodes to bind threads of 2 local CPUWorkers.",
        "VLLM_CPU_OMP_THREADS_BIND",
    ),
    "vllm: a head size without a kernel, on the first request": (
        "vllm",
        "(EngineCore pid=9) ERROR 11-21 20:58:59 [core.py:99] RuntimeError: Unsupported CPU attention configuration: "
        "head_dim=16\nINFO:     Shutting down\n",
        "RuntimeError: Unsupported CPU attention configuration: head_dim=16",
        "no CPU kernel",
    ),
    "sglang: a port that is taken, said before it claims to be ready": (
        "sglang",
        "[2026-11-21 23:13:46] Ignore import error when loading sglang.srt.models.x: No module named 'cutlass'\n"
        "[2026-11-21 23:13:49] ERROR:    [Errno 98] error while attempting to bind on address ('127.0.0.1', 21901): "
        "address already in use\nrequests.exceptions.HTTPError: 501 Server Error\n"
        "[2026-11-21 23:13:49] The server is fired up and ready to roll!\n",
        "ERROR: [Errno 98] error while attempting to bind on address ('127.0.0.1', 21901): address already in use",
        "another port",
    ),
    "sglang: tensor parallel that does not divide": (
        "sglang",
        "    loaded_weight = loaded_weight.narrow(\n                    ^^^^^^^^^^^^^^^^^^^^^\n"
        "RuntimeError: start (64) + length (32) exceeds dimension size (64).\n\n[2026-11-21 23:12:50] Received sigquit "
        "from a child process. It usually means the child failed.\n",
        "RuntimeError: start (64) + length (32) exceeds dimension size (64).",
        "tensor parallel size that divides",
    ),
    "sglang: too long": (
        "sglang",
        "ValueError: Warning: User-specified context_length (99999) is greater than the derived context_length (8192).",
        "ValueError: Warning: User-specified context_length (99999) is greater than the derived context_length (8192).",
        "lower --max-model-len",
    ),
    "any: a module that is missing": (
        "sglang",
        "/env/bin/python: No module named sglang\n",
        "No module named sglang",
        "engines doctor",
    ),
    "any: colours are taken off": ("vllm", "\x1b[31mMemoryError: out\x1b[0m\n", "MemoryError: out", "traceback"),
    "any: no exception, so the last line that says something": (
        "vllm",
        "one\ntwo\n\n" + NANOBIND,
        "two",
        "read the log",
    ),
    "any: nothing at all": ("sglang", "\n", "it ended without a word", "by hand"),
}


@pytest.mark.parametrize(("engine", "log", "line", "advice"), CASES.values(), ids=CASES.keys())
def test_the_line_that_matters_is_found(engine: str, log: str, line: str, advice: str) -> None:
    cause = BACKENDS[engine].startup_cause(log)
    assert cause.line == line
    assert advice in cause.advice
