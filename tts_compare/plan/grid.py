"""Experiment -> the settings to compare, the work of each, and the order of server starts. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

from tts_compare.backends import BACKENDS
from tts_compare.config import Axes, EngineRef, Experiment, SettingRule, for_engine
from tts_compare.domain import Device, Setting, Work, model_slug
from tts_compare.errors import UsageError
from tts_compare.methods import METHODS, PromptTemplate
from tts_compare.methods.lengths import PromptTokens
from tts_compare.methods.resolve import Resolved, resolve

DEFAULT_KEY_ENV = "OPENAI_API_KEY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One start of one server: the work of ``setting`` on the problems of a round, for the ``repeat``-th time."""

    setting: Setting
    repeat: int
    round: int = 0


def expand(experiment: Experiment, *, device: Device) -> tuple[Setting, ...]:
    """Every setting asked for: the product of the axes, the explicit ones, without those that the rules exclude.

    What cannot run on this machine is still among them. Raises UsageError when there is none, when no model is
    named, when an attached server would have to be several settings, and when a bound in dollars could not be kept.
    """
    sources = ((experiment.axes,) if experiment.product else ()) + experiment.explicit
    if any(not axes.models for axes in sources):
        raise UsageError("no model is named; give --model NAME or a directory")
    cached = experiment.prefix_caching
    caching = any(method.method.reuses_prefix for method in _resolved(experiment)) if cached is None else cached
    made = dict.fromkeys(setting for axes in sources for setting in _product(axes, experiment, device, caching))
    kept = tuple(s for s in made if _included(s, experiment))
    if not kept:
        raise UsageError("the include and exclude rules leave no setting" if made else "there is no setting")
    _check_one_each(kept, experiment)
    _check_priced(kept, experiment)
    return kept


def work(experiment: Experiment) -> tuple[Work, ...]:
    """What is done on each server: method x load x budget, in the order asked for.

    In a single pass the largest budget is sent, and the smaller ones are derived from it; a spot check sends the
    smallest for real. Raises UsageError for methods and options that cannot be used.
    """
    return tuple(
        item
        for resolved in _resolved(experiment)
        for load in experiment.loads
        for item in _budgets(resolved, load, experiment)
    )


def refused(setting: Setting, works: Sequence[Work]) -> str | None:
    """Why a setting's engine cannot do the work, or None: what its wire form lacks."""
    backend = BACKENDS[setting.backend]
    if not backend.wire.counts_chunks and any(item.derived_budgets for item in works):
        return (
            f"{backend.name} does not say how many tokens a chunk holds, so smaller budgets cannot be read off one "
            "long answer; give --curve per-budget"
        )
    if not backend.wire.choices and any(dict(item.options).get("requests") == "one" for item in works):
        return f"{backend.name} gives one choice a request; set method_options.vote.requests to separate"
    return None


def check_prompt(works: Sequence[Work], prompt: PromptTemplate, *, can_render: bool) -> None:
    """Raises UsageError where a method cannot put this prompt; can_render: the model's chat template is at hand."""
    for item in works:
        method = METHODS[item.method]
        if method.needs_chat and prompt.kind != "chat":
            raise UsageError(
                f"{method.name} writes into a chat's thinking block, and the prompt {prompt.name} is a completion; "
                "give --prompt math"
            )
        if method.needs_completions and prompt.kind == "chat" and not can_render:
            raise UsageError(
                f"{method.name} needs the model's chat template, which was not found; "
                "give --model a directory that has one, or a completion prompt (--prompt fewshot)"
            )


def order(settings: Sequence[Setting], repeats: int = 1, rounds: int = 1) -> tuple[Block, ...]:
    """Server starts in turn. All of one model's come together, so that its weights stay in the page cache.

    Starts run to and fro, A B B A A B, so that a slow drift of the machine falls on every setting alike. A round has
    all its repeats before the next begins.
    """
    models = dict.fromkeys((s.model, s.revision) for s in settings)
    blocks: list[Block] = []
    for model in models:
        group = [s for s in settings if (s.model, s.revision) == model]
        for start in range(rounds * repeats):
            turn = group if start % 2 == 0 else group[::-1]
            number, repeat = divmod(start, repeats)
            blocks.extend(Block(setting=setting, repeat=repeat, round=number) for setting in turn)
    return tuple(blocks)


def fit_lengths(settings: Sequence[Setting], works: Sequence[Work], prompt: PromptTokens) -> tuple[Setting, ...]:
    """Settings with ``max_model_len``: what was asked for, or the longest prompt plus what may follow it.

    Raises UsageError where the work does not fit into what was asked for. Without a tokenizer the default is made of
    the upper bound on the prompt and the refusal of the lower one, so that nothing possible is refused.
    """
    longest = max(works, key=_context)
    after = _context(longest)
    for setting in settings:
        have = setting.max_model_len
        if have is not None and prompt.least + after > have:
            bound = "" if prompt.least == prompt.most else "at least "
            raise UsageError(
                f"--budget {longest.budget} does not fit: with {bound}{prompt.least} tokens of prompt {longest.method} "
                f"needs {prompt.least + after}, and --max-model-len is {have}"
            )
    default = prompt.most + after
    return tuple(s if s.max_model_len or s.base_url else replace(s, max_model_len=default) for s in settings)


def _context(item: Work) -> int:
    return METHODS[item.method].most_context(item.budget, dict(item.options))


def _resolved(experiment: Experiment) -> tuple[Resolved, ...]:
    return tuple(resolve(spec, samples=experiment.samples, sampling=experiment.sampling) for spec in experiment.methods)


def _counted(experiment: Experiment) -> bool:
    """Whether smaller budgets can be read off one long answer of every engine that is named."""
    sources = (experiment.axes, *experiment.explicit) if experiment.product else experiment.explicit
    return all(BACKENDS[engine.backend].wire.counts_chunks for axes in sources for engine in axes.backends)


def _budgets(resolved: Resolved, load: str, experiment: Experiment) -> Iterator[Work]:
    method, budgets = resolved.method, sorted(experiment.budgets)
    greedy = resolved.sampling.temperature == 0
    curve = experiment.curve or ("single-pass" if greedy and _counted(experiment) else "per-budget")
    one = Work(
        method=method.name,
        budget=budgets[-1],
        load=load,
        samples=resolved.samples,
        sampling=resolved.sampling,
        options=tuple(sorted(resolved.options.items())),
    )
    if curve == "per-budget" or not method.single_pass:
        yield from (replace(one, budget=budget) for budget in budgets)
        return
    yield replace(one, derived_budgets=tuple(budgets[:-1]))
    if experiment.spot_check and len(budgets) > 1:
        yield replace(one, budget=budgets[0], problem_limit=experiment.spot_check, spot_check=True)


def _product(axes: Axes, experiment: Experiment, device: Device, caching: bool) -> Iterator[Setting]:  # noqa: FBT001
    for engine, model in product(axes.backends, axes.models):
        if not BACKENDS[engine.backend].launched:
            yield from (replace(_hosted(axes, engine, model, experiment), replica=name) for name in axes.replicas)
            continue
        alternatives = for_engine(axes.engine_args, engine) or ((),)
        shapes = product(axes.tensor_parallel, axes.pipeline_parallel, axes.data_parallel)
        for (tp, pp, dp), spec, dtype, args, replica in product(
            shapes, axes.speculations, axes.dtypes, alternatives, axes.replicas
        ):
            yield Setting(
                backend=engine.backend,
                version=engine.version,
                model=model,
                revision=experiment.revision,
                device=device,
                tensor_parallel=tp,
                pipeline_parallel=pp,
                data_parallel=dp,
                speculation=spec,
                dtype=dtype,
                max_model_len=experiment.max_model_len,
                max_num_seqs=experiment.max_num_seqs,
                prefix_caching=caching and "prefix_caching" not in BACKENDS[engine.backend].not_stated,
                threads_per_rank=experiment.threads_per_rank,
                seed=experiment.sampling.seed,
                engine_args=args,
                base_url=for_engine(experiment.attach, engine),
                # No default here: a key of the user's goes to an attached server only where that is asked for.
                api_key_env=axes.hosted.api_key_env,
                replica=replica,
            )


def _hosted(axes: Axes, engine: EngineRef, model: str, experiment: Experiment) -> Setting:
    """An endpoint that is not ours: of the axes only the model means anything to it."""
    hosted = axes.hosted
    return Setting(
        backend=engine.backend,
        model=model,
        seed=experiment.sampling.seed,
        base_url=hosted.base_url,
        api_key_env=hosted.api_key_env or DEFAULT_KEY_ENV,
        headers=hosted.headers,
        price=hosted.price,
        requests_per_minute=hosted.requests_per_minute,
        tokens_per_minute=hosted.tokens_per_minute,
        max_concurrency=hosted.max_concurrency,
        hosted=True,
    )


def _included(setting: Setting, experiment: Experiment) -> bool:
    wanted = not experiment.include or any(_matches(setting, rule) for rule in experiment.include)
    return wanted and not any(_matches(setting, rule) for rule in experiment.exclude)


def _matches(setting: Setting, rule: SettingRule) -> bool:
    """Every axis the rule names has one of its values; a name matches with or without its particulars."""
    engine, spec = setting.backend, setting.speculation
    names = {
        "backend": {engine, f"{engine}=={setting.version}"},
        "model": {setting.model, setting.model.rstrip("/").rsplit("/", 1)[-1], model_slug(setting.model)},
        "tp": {str(setting.tensor_parallel)},
        "pp": {str(setting.pipeline_parallel)},
        "dp": {str(setting.data_parallel)},
        "spec": {spec.kind, spec.id, f"{spec.kind}-{spec.num_tokens}-{spec.lookup_min}-{spec.lookup_max}"},
        "dtype": {setting.dtype},
    }
    return all(names[axis] & set(values) for axis, values in rule.axes)


def _check_one_each(settings: Sequence[Setting], experiment: Experiment) -> None:
    """One id, one setting; one attached server, one setting."""
    ids: dict[str, Setting] = {}
    for setting in settings:
        if setting.id in ids:
            raise UsageError(f"two different settings would both be called {setting.id}; leave one of them out")
        ids[setting.id] = setting
    for engine, url in experiment.attach.items():
        named = dict.fromkeys(replace(s, replica=None) for s in settings if s.base_url == url)
        served = [s.id for s in named if not s.hosted]
        if len(served) > 1:
            raise UsageError(
                f"--attach {engine}={url} is one server, and {len(served)} settings name it: {', '.join(served)}"
            )


def _check_priced(settings: Sequence[Setting], experiment: Experiment) -> None:
    """A bound in dollars is kept only where every hosted endpoint has a price, and one of them at least is there."""
    unpriced = [s.id for s in settings if s.hosted and s.price is None]
    if experiment.budget_usd is not None and (unpriced or not any(s.price for s in settings)):
        raise UsageError(
            "--budget-usd bounds what hosted endpoints cost, and cannot without their price: give --price IN/OUT"
            + (f" for {', '.join(unpriced)}" if unpriced else ", or leave it out")
        )
