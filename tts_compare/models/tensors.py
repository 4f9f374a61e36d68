"""The tensors of a model's safetensors files: name, type, shape and bytes, from their headers alone.

The format (github.com/huggingface/safetensors): eight bytes of header length, then a JSON header.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tts_compare.errors import UsageError

#: A header longer than this is no header: those of the largest models take some MB.
_LONGEST_HEADER = 200 * 2**20
#: What a quantisation stores beside its weights: scales, zero points, tables. Bytes, but no parameters.
_BESIDE = re.compile(
    r"([._]scales|scale_inv|weight_scale\w*|(input|weight)_global_scale|input_scale|[kvq]_scale|qzeros|g_idx"
    r"|weight_zero_point|weight_shape|absmax|quant_map|quant_state\S*)$"
)
_PACKED = re.compile(r"(qweight|weight_packed|_blocks)$")
_BITS = {"BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16}
_BITS |= {"I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """One stored tensor."""

    name: str
    """As the file has it."""
    dtype: str
    """The format's name of its type, for instance ``BF16``."""
    shape: tuple[int, ...]
    """Its dimensions."""
    bytes: int
    """Its size in the file."""

    def parameters(self, *, bits: int | None) -> int:
        """Weights it stands for; 0 for what a quantisation stores beside them.

        bits: of a packed weight (``quantization_config``); 4 where it does not say, 8 for 8-bit types.
        """
        count = math.prod(self.shape)
        if _BESIDE.search(self.name):
            return 0
        stored = _BITS.get(self.dtype, 16)
        packed = _PACKED.search(self.name) or (self.dtype == "U8" and self.name.endswith("weight"))
        return count * stored // (bits or 4) if packed else count


def tensors_of(directory: Path) -> tuple[Tensor, ...]:
    """Every tensor of ``*.safetensors`` in a directory, each name once; empty where there is none.

    Only headers are read. ``consolidated*`` are the same weights in another form and omitted beside others. Raises
    UsageError for a file that is cut short or not safetensors.
    """
    files = sorted(directory.glob("*.safetensors"))
    files = [file for file in files if not file.name.startswith("consolidated")] or files
    found = {tensor.name: tensor for file in files for tensor in _in_file(file)}
    return tuple(found.values())


def index_size(directory: Path) -> int | None:
    """Bytes of all weights as ``model.safetensors.index.json`` says; None where it does not."""
    try:
        index = json.loads((directory / "model.safetensors.index.json").read_bytes())
    except (OSError, ValueError):
        return None
    total = (index.get("metadata") or {}).get("total_size") if isinstance(index, dict) else None
    return int(total) if isinstance(total, int | float) and total > 0 else None


def _in_file(path: Path) -> Iterable[Tensor]:
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if not 0 < size <= min(_LONGEST_HEADER, os.fstat(file.fileno()).st_size - 8):
                raise UsageError(f"{path} is no safetensors file, or was cut short: fetch it again")
            header = json.loads(file.read(size))
        return [_tensor(name, stated) for name, stated in header.items() if name != "__metadata__"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} cannot be read as safetensors: {error}") from error


def _tensor(name: str, stated: dict[str, Any]) -> Tensor:
    begin, end = stated["data_offsets"]
    return Tensor(name=name, dtype=str(stated["dtype"]), shape=tuple(map(int, stated["shape"])), bytes=end - begin)
