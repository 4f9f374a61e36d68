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
        "no such directory",
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


GATED = (
    "huggingface_hub.errors.GatedRepoError: 401 Client Error. (Request ID: Root=1-69)\n\n"
    "Cannot access gated repo for url https://huggingface.co/meta-llama/Llama-3.2-1B/resolve/main/config.json.\n"
    "The above exception was the direct cause of the following exception:\n"
    "OSError: You are trying to access a gated repo.\nMake sure to have access to it at https://huggingface.co/m.\n"
)
CORE = "(EngineCore_DP0 pid=22) ERROR 10-25 13:08:43 [core.py:708] "

# As users of GPUs have shown them in the engines' public issues; none of these can be had on a CPU.
ON_GPUS = {
    "a gated model": ("vllm", GATED, "Cannot access gated repo for url https://huggingface.co/meta-llama", "HF_TOKEN"),
    "a gated model, sglang": ("sglang", GATED, "Cannot access gated repo", "HF_TOKEN"),
    "no network": (
        "sglang",
        "httpx.ConnectError: [Errno -3] Temporary failure in name resolution\n"
        "OSError: We couldn't connect to 'https://huggingface.co' to load the files, and couldn't find them in the "
        "cached files.\n",
        "OSError: We couldn't connect to 'https://huggingface.co'",
        "the hub cannot be reached",
    ),
    "told to be offline": (
        "vllm",
        "huggingface_hub.errors.LocalEntryNotFoundError: Cannot find an appropriate cached snapshot folder for the "
        "specified revision on the local disk and outgoing traffic has been disabled.\n",
        "huggingface_hub.errors.LocalEntryNotFoundError: Cannot find",
        "the hub cannot be reached",
    ),
    "no memory for the cache, below the source line that says so": (
        "vllm",
        f'{CORE}    raise ValueError("No available memory for the cache blocks. "\n'
        f'{CORE}                      "Try increasing `gpu_memory_utilization` when "\n'
        f"{CORE}ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`.\n",
        "ValueError: No available memory for the cache blocks. Try increasing",
        "--gpu-memory-utilization",
    ),
    "a cache too small for one request, below the source line of Python 3.13": (
        "vllm",
        '(EngineCore pid=22)         f"To serve at least one request with the model\'s max seq len "\n'
        f"{CORE}ValueError: To serve at least one request with the model's max seq len (131072), 16.0 GiB KV cache is "
        "needed\n",
        "To serve at least one request with the model's max seq len (131072)",
        "--max-model-len",
    ),
    "a GPU that others use": (
        "vllm",
        f"{CORE}ValueError: Free memory on device cuda:0 (59.32/79.15 GiB) on startup is less than desired GPU memory "
        "utilization (0.9, 71.24 GiB). Decrease GPU memory utilization or reduce GPU memory used by other processes.\n",
        "ValueError: Free memory on device cuda:0 (59.32/79.15 GiB)",
        "end what else uses the GPU",
    ),
    "a GPU that is full": (
        "sglang",
        "[2026-11-21 23:12:50 TP0] Scheduler hit an exception: Traceback (most recent call last):\n"
        "torch.AcceleratorError: CUDA error: out of memory\n",
        "torch.AcceleratorError: CUDA error: out of memory",
        "smaller model",
    ),
    "weights that leave no room": (
        "sglang",
        "RuntimeError: Not enough memory. Please try to increase --mem-fraction-static. Current value: 0.83\n",
        "RuntimeError: Not enough memory. Please try",
        "--mem-fraction-static",
    ),
    "bfloat16 on an old GPU": (
        "vllm",
        f"{CORE}ValueError: Bfloat16 is only supported on GPUs with compute capability of at least 8.0. Your Tesla T4 "
        "GPU has compute capability 7.5. You can use float16 instead by explicitly setting the `dtype` flag in CLI.\n",
        "ValueError: Bfloat16 is only supported on GPUs",
        "--dtype float16",
    ),
    "no compiler for kernels": (
        "vllm",
        "(Worker_TP1 pid=3534) ERROR 10-11 22:28:17 [multiproc_executor.py:694] RuntimeError: Could not find nvcc\n",
        "RuntimeError: Could not find nvcc",
        "CUDA_HOME",
    ),
    "no ninja": (
        "sglang",
        "FileNotFoundError: [Errno 2] No such file or directory: 'ninja'\n",
        "FileNotFoundError: [Errno 2] No such file or directory: 'ninja'",
        "ninja",
    ),
    "no C compiler": (
        "vllm",
        f'{CORE}    raise RuntimeError("Failed to find C compiler. Please specify via CC environment variable.")\n'
        f"{CORE}RuntimeError: Failed to find C compiler. Please specify via CC environment variable.\n",
        "RuntimeError: Failed to find C compiler.",
        "gcc",
    ),
    "a driver that does not answer": (
        "sglang",
        "UserWarning: CUDA initialization: cudaGetDeviceCount() Error 802: system not yet initialized\n"
        "RuntimeError: No accelerator (CUDA, XPU, HPU, NPU, MUSA, MPS) or platform plugin is available.\n",
        "RuntimeError: No accelerator (CUDA",
        "nvidia-smi",
    ),
    "nccl, by torch": (
        "sglang",
        "[rank0]:     return self._call_impl(*args, **kwargs)\n"
        "[rank0]: torch.distributed.DistBackendError: NCCL error in: NCCLUtils.hpp:268, unhandled system error (run "
        "with NCCL_DEBUG=INFO for details), NCCL version 2.21.5\n",
        "torch.distributed.DistBackendError: NCCL error in: NCCLUtils.hpp:268, unhandled system error",
        "/dev/shm",
    ),
    "nccl, by vllm": (
        "vllm",
        "[rank1]: RuntimeError: NCCL error: unhandled system error (run with NCCL_DEBUG=INFO for details)\n",
        "RuntimeError: NCCL error: unhandled system error",
        "NCCL_DEBUG",
    ),
    "a model with code of its own": (
        "vllm",
        "pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig\n"
        "  Value error, The repository org/M contains custom code which must be executed to correctly load the model. "
        "[type=value_error, input_value=x, input_type=y]\n",
        "Value error, The repository org/M contains custom code which must be executed",
        "--trust-remote-code",
    ),
    "an old driver": (
        "sglang",
        "RuntimeError: The NVIDIA driver on your system is too old (found version 12020). Please update your driver\n",
        "RuntimeError: The NVIDIA driver on your system is too old",
        "update the driver",
    ),
    "a home that cannot be written": (
        "vllm",
        f"{CORE}PermissionError: [Errno 13] Permission denied: '/.cache'\n",
        "PermissionError: [Errno 13] Permission denied: '/.cache'",
        "HF_HOME",
    ),
}


@pytest.mark.parametrize(("engine", "log", "line", "advice"), ON_GPUS.values(), ids=ON_GPUS.keys())
def test_what_fails_on_gpus_is_told_with_what_to_do(engine: str, log: str, line: str, advice: str) -> None:
    cause = BACKENDS[engine].startup_cause(log)
    assert cause.line.startswith(line)
    assert advice in cause.advice


def test_a_flag_that_is_told_of_is_not_taken_for_a_cause() -> None:
    log = (
        "INFO 11-21 20:52:03 [core.py:9] engine with trust_remote_code=True, dtype=bfloat16\nValueError: the weights\n"
    )
    assert BACKENDS["vllm"].startup_cause(log).line == "ValueError: the weights"
