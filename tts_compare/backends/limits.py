"""Reasons why a setting cannot run on a machine, those that hold for every engine."""

from __future__ import annotations

from collections.abc import Sequence

from tts_compare.backends.facts import BYTES_PER_WEIGHT, Machine, ModelFacts
from tts_compare.domain import Setting

MTP_MISSING = "the model has no layer for multi-token prediction (mtp)"


def threads_per_rank(setting: Setting) -> int:
    """Threads of one rank on a CPU: one unless stated, so that engines with different defaults compare alike."""
    return 1 if setting.threads_per_rank is None else setting.threads_per_rank


def cpu_dtype(setting: Setting) -> str:
    """The dtype told to an engine. ``auto`` on a CPU is float32 for every engine.

    Left alone, one engine takes the checkpoint's bfloat16 and the other float32; and bfloat16 has no fast kernel
    without AVX512 (vLLM 0.32 on AVX2: prefill 4.5 times slower).
    """
    return "float32" if setting.dtype == "auto" and setting.device == "cpu" else setting.dtype


def rank_cores(setting: Setting, cores: Sequence[int] = ()) -> str:
    """Cores of each rank on one node, ``0,1|2,3`` for two ranks of two threads: both engines read this form.

    ``cores`` are taken in order; beyond them, or without any, cores are counted on from the last.
    """
    ranks, threads = (setting.devices or 1) // setting.nodes, threads_per_rank(setting)
    known = list(cores)
    known += range(known[-1] + 1 if known else 0, ranks * threads + (known[-1] + 1 if known else 0))
    groups = (known[rank * threads : (rank + 1) * threads] for rank in range(ranks))
    return "|".join(",".join(str(core) for core in group) for group in groups)


def kv_tokens(setting: Setting) -> int:
    """Tokens of key-value cache on a CPU: the whole batch at full length, up to 32,768, and one request at least."""
    longest = setting.max_model_len or 4096
    return max(longest, min(setting.max_num_seqs * longest, 32_768))


def out_of_range(setting: Setting) -> str | None:
    """A quantity of the setting that no engine takes."""
    speculation = setting.speculation
    counts = {
        "tensor_parallel": setting.tensor_parallel,
        "pipeline_parallel": setting.pipeline_parallel,
        "data_parallel": setting.data_parallel,
        "nodes": setting.nodes,
        "max_num_seqs": setting.max_num_seqs,
        "max_model_len": setting.max_model_len,
        "threads_per_rank": setting.threads_per_rank,
    }
    for name, value in counts.items():
        if value is not None and value < 1:
            return f"{name} is {value}; it must be at least 1"
    if speculation.kind == "none":
        return None
    if speculation.num_tokens < 1:
        return f"speculation proposes {speculation.num_tokens} tokens; it must be at least 1"
    if speculation.kind == "ngram" and not 1 <= speculation.lookup_min <= speculation.lookup_max:
        return f"n-gram lookup {speculation.lookup_min}..{speculation.lookup_max} is not a range from 1 upwards"
    if speculation.kind in ("draft_model", "eagle", "eagle3") and not speculation.model:
        return f"speculation by {speculation.kind} needs the path or name of a draft model"
    return None


def badly_spread(setting: Setting, machine: Machine) -> str | None:
    """The setting's ranks cannot be dealt over its nodes, or the machine has no such nodes."""
    count, ranks = setting.nodes, setting.devices or 1
    if count == 1 and len(machine.nodes) < 2:
        return None
    if count > max(1, len(machine.nodes)):
        held = f"the allocation has {len(machine.nodes)}" if machine.nodes else "this machine is one"
        return f"it needs {count} nodes and {held}"
    if ranks % count:
        return f"{ranks} ranks cannot be dealt evenly over {count} nodes"
    if count > 1 and setting.data_parallel > 1:
        return "data parallelism over several nodes is not launched"
    each = ranks // count
    needed = each if setting.device == "cuda" else each * threads_per_rank(setting)
    what = "GPUs" if setting.device == "cuda" else "cores"
    room = [node.devices if setting.device == "cuda" else node.cores for node in machine.nodes]
    if sum(one >= needed for one in room) < count:
        nodes = "a node" if count == 1 else f"each of {count} nodes"
        return f"it needs {needed} {what} on {nodes}, and the allocation's have {', '.join(map(str, room))}"
    return None


def too_large(setting: Setting, machine: Machine, model: ModelFacts | None) -> str | None:
    """The machine lacks devices, cores or memory for the setting."""
    ranks = setting.devices or 1
    if setting.device == "cuda" and machine.device != "cuda":
        return "it needs a GPU and this machine shows none"
    if setting.device == "cuda" and ranks > machine.devices:
        return f"it needs {ranks} GPUs and {machine.devices} can be used"
    if setting.device == "cpu":
        cores = len(machine.cores) or machine.devices
        threads = threads_per_rank(setting)
        if ranks * threads > cores:
            each = "" if threads == 1 else f" of {threads} threads"
            return f"it needs {ranks} ranks{each} and {cores} cores can be used"
    if model is None or model.parameters is None:
        return None
    dtype = cpu_dtype(setting)
    if dtype == "auto":  # on a GPU; both engines take weights stored as float32 for 16 bits
        dtype = "float16" if model.dtype in ("float32", "float") else model.dtype or ""
    weights = model.parameters * BYTES_PER_WEIGHT.get(dtype, 2)
    if setting.device == "cpu":
        needed, have = weights * setting.data_parallel // setting.nodes, machine.memory_bytes
        where = "a node" if machine.nodes else "this machine"
    else:
        needed = weights // (setting.tensor_parallel * setting.pipeline_parallel)
        have, where = machine.gpu_memory_bytes or 0, "a GPU"
    if have and needed > have:
        return f"its weights take {needed / 2**30:.1f} GiB and {where} has {have / 2**30:.1f} GiB"
    return None


def misfit(setting: Setting, model: ModelFacts | None) -> str | None:
    """The model's shape does not allow the setting."""
    if model is None:
        return None
    tp, kv = setting.tensor_parallel, model.kv_heads
    if model.heads and model.heads % tp:
        return f"tensor parallel {tp} does not divide the model's {model.heads} attention heads"
    if kv and kv % tp and tp % kv:
        return f"tensor parallel {tp} does not fit the model's {kv} key-value heads"
    if model.layers and setting.pipeline_parallel > model.layers:
        return f"pipeline parallel {setting.pipeline_parallel} exceeds the model's {model.layers} layers"
    if model.max_position and (setting.max_model_len or 0) > model.max_position:
        return f"max_model_len {setting.max_model_len} exceeds the model's {model.max_position} positions"
    return None


def common_reason(setting: Setting, machine: Machine, model: ModelFacts | None) -> str | None:
    """The first reason that holds for every engine."""
    return (
        out_of_range(setting)
        or too_large(setting, machine, model)
        or badly_spread(setting, machine)
        or misfit(setting, model)
    )
