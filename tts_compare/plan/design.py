"""What a plan is made of: the settings and their work, the models' shapes, and the machine. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tts_compare.backends.limits import cpu_dtype
from tts_compare.domain import Setting, Work
from tts_compare.domain.model_shape import ModelShape
from tts_compare.machine.catalogue import Accelerator
from tts_compare.machine.memory import Share
from tts_compare.machine.roofline import Layout
from tts_compare.machine.spec import PlannedMachine
from tts_compare.plan.arguments import kv_width, stated, stored_dtype
from tts_compare.plan.earlier import EarlierPoint

#: Tokens of a prompt where the problems are not at hand to be counted: MATH-500's are about that long with ours.
GUESSED_PROMPT_TOKENS = 200.0
#: vLLM's default of --gpu-memory-utilization, as of 0.32.
_VLLM_SHARE = 0.92
#: SGLang's where the catalogue has none for the device: what it chooses for the ones that are known is 0.835 to 0.906.
_SGLANG_SHARE = 0.84
_CPU_WORKSPACE_BYTES = 1.5e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A setting that cannot run there."""

    setting: Setting
    """The setting."""
    reason: str
    """Why, in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """Everything a plan is computed from."""

    machine: PlannedMachine | None
    """Where it would run; None for GPUs that no catalogue knows, of which no time can be said."""
    settings: tuple[Setting, ...]
    """Those that the checks of a run let pass."""
    work: tuple[Work, ...]
    """What is done on each."""
    problems: int
    """Problems of the data set that are sent."""
    dataset: str
    """Its name."""
    skipped: tuple[Skipped, ...] = ()
    """Those they do not."""
    starts: int = 1
    """Server starts of each setting."""
    passes: int = 1
    """How often each setting is sent all problems; starts may share the problems of a pass."""
    parallel_servers: int = 1
    """Servers at once."""
    prompt_tokens: float = GUESSED_PROMPT_TOKENS
    """Mean tokens of a prompt."""
    shapes: Mapping[str, ModelShape | None] = field(default_factory=dict)
    """By model, draft models too."""
    bandwidths: Mapping[int, float] = field(default_factory=dict)
    """On a CPU: bytes a second by number of threads."""
    memory_bytes: int = 0
    """On a CPU: main memory."""
    gpu_hour_usd: float | None = None
    """The price that the user states."""
    earlier: tuple[EarlierPoint, ...] = ()
    """What earlier runs measured."""

    @property
    def price(self) -> tuple[float, float] | None:
        """Dollars of one device for an hour: the user's word, else the catalogue's range."""
        if self.gpu_hour_usd is not None:
            return self.gpu_hour_usd, self.gpu_hour_usd
        return self.machine.price if self.machine else None

    def draft_of(self, setting: Setting) -> ModelShape | None:
        """The shape of the setting's draft model, where it has one and it is known."""
        name = setting.speculation.model
        return self.shapes.get(name) if name else None

    def device_of(self, setting: Setting) -> Accelerator | None:
        """What one rank of the setting has: a GPU, or its part of the processor's memory and bandwidth."""
        if setting.device != "cpu":
            return self.machine.accelerator if self.machine else None
        ranks = setting.devices or 1
        bandwidth = self.bandwidths.get(threads_of(setting))
        if bandwidth is None:
            return None
        return Accelerator(name="CPU", memory_bytes=self.memory_bytes / ranks, bandwidth_bytes_s=bandwidth / ranks)


def threads_of(setting: Setting) -> int:
    """Threads of all ranks of a setting on a CPU."""
    return (setting.devices or 1) * (setting.threads_per_rank or 1)


def layout_of(setting: Setting, machine: PlannedMachine | None) -> Layout:
    """How the setting spreads and stores its model."""
    dtype = cpu_dtype(setting)
    kv = kv_width(dtype, stated(setting.engine_args, "--kv-cache-dtype") or setting.kv_dtype)
    dtype = stored_dtype(dtype, setting.quantization)
    measured = machine.all_reduce_s if machine else None
    every = {"tensor_parallel": setting.tensor_parallel, "pipeline_parallel": setting.pipeline_parallel}
    layout = Layout(**every, dtype=dtype, kv_width=kv)
    return layout if measured is None else Layout(**every, dtype=dtype, kv_width=kv, all_reduce_s=measured)


def share_of(setting: Setting, device: Accelerator) -> Share:
    """The part of a device's memory that the setting's engine takes."""
    if setting.device == "cpu":
        source = "all memory; what the process takes besides weights and KV cache is assumed"
        return Share(of_memory=1.0, workspace_bytes=_CPU_WORKSPACE_BYTES / (setting.devices or 1), source=source)
    if setting.backend == "sglang":
        told = stated(setting.engine_args, "--mem-fraction-static")
        if told:
            return Share(of_memory=float(told), workspace_bytes=0.0, source="--mem-fraction-static")
        if device.sglang_share:
            return Share(of_memory=device.sglang_share, workspace_bytes=0.0, source="SGLang's choice for this GPU")
        return Share(of_memory=_SGLANG_SHARE, workspace_bytes=0.0, source="a guess of SGLang's choice", is_guess=True)
    told = stated(setting.engine_args, "--gpu-memory-utilization")
    if told:
        return Share(of_memory=float(told), source="--gpu-memory-utilization")
    return Share(of_memory=_VLLM_SHARE, source="vLLM's default")
