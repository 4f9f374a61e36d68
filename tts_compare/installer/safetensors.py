"""Writing weights as bfloat16 safetensors, one tensor at a time.

The format (github.com/huggingface/safetensors): eight bytes of header length, a JSON header that gives each
tensor's dtype, shape and byte offsets, then the tensors. numpy has no bfloat16, so the bits are made here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Weights = npt.NDArray[np.float32]


def write(path: Path, shapes: Mapping[str, tuple[int, ...]], tensors: Iterable[tuple[str, Weights]]) -> None:
    """Write tensors, given in the order of ``shapes``, which are those of the stored tensors."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, shape in shapes.items():
        size = 2
        for length in shape:
            size *= length
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for (wanted, shape), (name, tensor) in zip(shapes.items(), tensors, strict=True):
            if wanted != name or tensor.shape != shape:
                raise ValueError(f"expected {wanted} {shape}, got {name} {tensor.shape}")
            file.write(bfloat16(tensor).tobytes())


def bfloat16(values: Weights) -> npt.NDArray[np.uint16]:
    """The upper half of each float32, rounded to nearest, ties to even. Finite values only."""
    import numpy as np

    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    rounding = ((bits >> np.uint32(16)) & np.uint32(1)) + np.uint32(0x7FFF)
    return ((bits + rounding) >> np.uint32(16)).astype(np.uint16)
