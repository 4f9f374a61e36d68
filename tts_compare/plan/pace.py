"""How long a work takes on a server: the step in the middle of an answer, the batch, and the start. Pure."""

from __future__ import annotations

from statistics import median

from tts_compare.domain import Setting, Work
from tts_compare.domain.model_shape import ModelShape
from tts_compare.limits.pacing import Concurrent, parse_load
from tts_compare.machine.catalogue import Accelerator
from tts_compare.machine.roofline import DecodeStep, Drafts, decode_step
from tts_compare.plan.design import Design, layout_of

#: Seconds from a server's start to ready where nobody measured it, from and to, by device.
STARTUP_S = {"cpu": (30.0, 90.0), "cuda": (60.0, 300.0)}


def step_in(
    setting: Setting,
    work: Work,
    shape: ModelShape,
    device: Accelerator,
    design: Design,
    *,
    tokens: float,
    accepted: float,
) -> DecodeStep:
    """A step in the middle of an answer, at the batch of one replica."""
    drafts = Drafts(
        tokens=0 if setting.speculation.kind == "none" else setting.speculation.num_tokens,
        accepted_length=accepted,
        shape=design.draft_of(setting),
    )
    batch = -(-batch_of(setting, work, design) // setting.data_parallel)
    context = design.prompt_tokens + tokens / 2
    return decode_step(
        shape, device, layout=layout_of(setting, design.machine), context=context, batch=batch, drafts=drafts
    )


def seconds_of(setting: Setting, work: Work, design: Design, *, tokens: float, token_s: float, prefill: float) -> float:
    """Seconds of one work on one start: its tokens at the batch's pace, and each prompt's prefill.

    An open loop takes at least as long as its arrivals do.
    """
    requests = requests_of(work, design.problems)
    paced = requests * tokens * token_s / batch_of(setting, work, design) + requests * prefill / setting.data_parallel
    load = parse_load(work.load)
    return paced if isinstance(load, Concurrent) else max(paced, requests / work.samples / load.rate)


def batch_of(setting: Setting, work: Work, design: Design) -> int:
    """Sequences under way at once over all replicas; of an open loop as many as the batch limit lets in."""
    load = parse_load(work.load)
    limit = setting.max_num_seqs * setting.data_parallel
    wanted = load.n * work.samples if isinstance(load, Concurrent) else limit
    return max(1, min(wanted, limit, requests_of(work, design.problems)))


def requests_of(work: Work, problems: int) -> int:
    """Samples of all problems of one start; a spot check sends some of the problems only."""
    return min(work.problem_limit or problems, problems) * work.samples


def startup_s(setting: Setting, design: Design) -> tuple[float, float]:
    """Seconds of one start, from and to: as earlier runs of the engine and model measured it, else a guess.

    A server that is not ours to start takes none.
    """
    if setting.base_url:
        return 0.0, 0.0
    same = [
        p.startup_s
        for p in design.earlier
        if (p.model, p.backend, p.device) == (setting.model, setting.backend, setting.device) and p.startup_s
    ]
    return (median(same), median(same)) if same else STARTUP_S[setting.device]
