"""Run by an engine's Python: the bandwidth of the first GPU, the largest of five triads of STREAM over 1 GiB arrays."""

import json
import sys
import time

import torch

TIMES, LENGTH, ACCESSES = 5, 2**28, 3

first, second = (torch.ones(LENGTH, dtype=torch.float32, device="cuda") for _ in range(2))
out = torch.empty_like(first)
best = 0.0
for _ in range(TIMES + 1):  # the first one loads the kernel
    torch.cuda.synchronize()
    begun = time.perf_counter()
    torch.add(first, second, alpha=3.0, out=out)
    torch.cuda.synchronize()
    best = max(best, ACCESSES * out.element_size() * LENGTH / (time.perf_counter() - begun))
sys.stdout.write(json.dumps({"bytes_s": best}) + "\n")
