"""``vote``: several samples of one problem at once; the majority is counted in grading (arXiv:2203.11171)."""

from __future__ import annotations

from tts_compare.domain import Problem, Sampling
from tts_compare.errors import UsageError
from tts_compare.methods.method import Method, Options, Plan, Render, Tokens, opening
from tts_compare.methods.prompts import PromptTemplate

REQUESTS = ("separate", "one")


def plan(
    problem: Problem,
    *,
    budget: int,
    samples: int,
    sampling: Sampling,
    prompt: PromptTemplate,
    options: Options,
    render: Render | None = None,
    tokens: Tokens | None = None,
) -> Plan:
    """All samples at once: a request each with a seed of its own, or one request of ``n`` choices."""
    if options["requests"] == "one":
        yield (opening(problem, prompt=prompt, sampling=sampling, max_tokens=budget, n=samples),)
        return
    yield tuple(
        opening(problem, prompt=prompt, sampling=sampling, max_tokens=budget, sample=sample)
        for sample in range(samples)
    )


def check(options: Options) -> None:
    """Raises UsageError for a way of asking that there is not."""
    if options["requests"] not in REQUESTS:
        raise UsageError(f"requests: {options['requests']!r} is neither {' nor '.join(REQUESTS)}")


METHOD = Method(
    name="vote",
    summary="several samples at once, the majority of equal answers",
    plan=plan,
    options={"requests": "separate"},
    reuses_prefix=True,
    single_pass=True,
    least_samples=2,
    check=check,
)
