"""Experiment -> everything that can be known and checked before a server starts; used by ``plan`` and ``run`` alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tts_compare.backends import BACKENDS, Machine, ModelFacts, differences
from tts_compare.codes import warn
from tts_compare.config import Experiment
from tts_compare.dataset import Dataset, load_problems
from tts_compare.domain import RunWarning, Setting, Work
from tts_compare.errors import UsageError
from tts_compare.launchers import launcher_named
from tts_compare.machine.catalogue import catalogue, recognise, user_catalogue
from tts_compare.methods import METHODS, PromptTemplate, Tokens, load_prompt
from tts_compare.methods.lengths import longest_prompt
from tts_compare.methods.model_files import chat_template, model_dir, tokens_of
from tts_compare.methods.prompting import Prompting
from tts_compare.methods.tokenization import Tokenization
from tts_compare.plan.alike import differences_on_gpus
from tts_compare.plan.grid import Block, check_prompt, expand, fit_lengths, order, refused, work
from tts_compare.plan.model_facts import check_model, facts_of
from tts_compare.plan.round_shares import check_shares, shares_of
from tts_compare.plan.spread import cannot_span, spread

#: Problems in published sets, for a plan made where they cannot be read.
PUBLISHED_SIZE = {"math500": 500}


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedSetting:
    """A setting that cannot run here, and why."""

    setting: Setting
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What a run is going to do. facts, prompting: by model; shares: the round of each problem."""

    experiment: Experiment
    machine: Machine
    dataset: Dataset
    prompt: PromptTemplate
    settings: tuple[Setting, ...]
    left_out: tuple[SkippedSetting, ...]
    work: tuple[Work, ...]
    facts: Mapping[str, ModelFacts | None]
    prompting: Mapping[str, Prompting]
    shares: Mapping[str, int]

    @property
    def problem_count(self) -> int:
        """How many problems are sent; of a set that was not read, what is published of it."""
        return _problem_count(self.dataset, self.experiment)

    @property
    def prompt_most(self) -> int:
        """Tokens of the longest prompt at most, for endpoints that count none."""
        return longest_prompt(self.dataset.problems, self.prompt).most if self.dataset.problems else 0

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The server starts, in turn."""
        return order(self.settings, self.experiment.repeats, self.experiment.rounds)

    def require_settings(self) -> None:
        """Raises UsageError, with every reason, where no setting is left."""
        if not self.settings:
            told = "; ".join(f"{item.setting.id}: {item.reason}" for item in self.left_out)
            raise UsageError(f"no setting is left that this machine can do: {told}")

    @property
    def doubts(self) -> tuple[RunWarning, ...]:
        """What is known to weaken the comparison before it begins."""
        machine = self.machine
        known = {recognise(name, machine.gpu_memory_bytes, catalogue(*user_catalogue())) for name in machine.gpu_names}
        device = known.pop() if len(known) == 1 else None
        on_gpus = differences_on_gpus(self.settings, machine.gpu_names, device)
        return (*differences(self.settings), *on_gpus, *_of_the_plan(self))


def prepare(experiment: Experiment, *, fetch: bool = True, machine: Machine | None = None) -> Prepared:
    """Check the whole experiment. Raises UsageError for bad input.

    fetch: small files of models on the hub may be fetched (configuration, tokenizer); weights never are.
    machine: another one than this, which a plan is made for.
    """
    if experiment.retry_failed and experiment.resume is None:
        raise UsageError("--retry-failed sends again what failed in a run: name the run with --resume DIR")
    machine = machine or launcher_named(experiment.launcher).machine(experiment.device)
    works = work(experiment)
    expanded = expand(experiment, device=machine.device)
    asked = tuple(spread(setting, machine, asked=experiment.nodes_per_server) for setting in expanded)
    for model in {setting.model for setting in asked if setting.base_url is None}:
        check_model(model)  # of a server that is not ours, a path is one over there
    dataset = _dataset(experiment, fetch=fetch)
    _weak_rounds(dataset, experiment)
    prompt = load_prompt(experiment.prompt or dataset.prompt_hint)
    check_prompt(works, prompt, can_render=True)
    fitted = tuple(_fitted(asked, works, dataset, prompt, fetch=fetch))
    # A hosted setting may have the name of a model of ours, and knows nothing of it.
    facts: dict[str, ModelFacts | None] = {s.model: None for s in fitted}
    facts |= {s.model: facts_of(s.model, s.revision, fetch=fetch) for s in fitted if not s.hosted}
    reasons = {
        s: BACKENDS[s.backend].unsupported(s, machine, facts[s.model])
        or _draft_misfit(s, fetch=fetch)
        or cannot_span(s)
        or refused(s, works)
        for s in fitted
    }
    settings = tuple(s for s in fitted if reasons[s] is None)
    speakers = {s.model: s for s in sorted(settings, key=lambda s: (not s.hosted, s.prefix_caching))}
    left_out = tuple(SkippedSetting(setting=s, reason=reason) for s in fitted if (reason := reasons[s]) is not None)
    return Prepared(
        experiment=experiment,
        machine=machine,
        dataset=dataset,
        prompt=prompt,
        settings=settings,
        left_out=left_out,
        work=works,
        facts=facts,
        prompting={model: _prompting(s, works, prompt, fetch=fetch) for model, s in speakers.items()},
        shares=shares_of(dataset.problems, experiment.rounds, seed=experiment.sampling.seed),
    )


def _draft_misfit(setting: Setting, *, fetch: bool) -> str | None:
    """Why the draft model cannot go with the setting: both engines spread it over the same ranks."""
    name = setting.speculation.model
    if name is None or setting.hosted or setting.base_url is not None:
        return None
    draft, tp = facts_of(name, fetch=fetch), setting.tensor_parallel
    if draft is not None and draft.heads and draft.heads % tp:
        return f"tensor parallel {tp} does not divide the draft model's {draft.heads} attention heads"
    return None


def _problem_count(dataset: Dataset, experiment: Experiment) -> int:
    published = PUBLISHED_SIZE.get(dataset.name, 0)
    return len(dataset.problems) or min(experiment.problems or published, published)


def _weak_rounds(dataset: Dataset, experiment: Experiment) -> str | None:
    """What weakens the rounds asked for. Raises UsageError where they are too many."""
    whole = dataset.whole or PUBLISHED_SIZE.get(dataset.name, 0)
    return check_shares(_problem_count(dataset, experiment), experiment.rounds, whole=whole)


def _dataset(experiment: Experiment, *, fetch: bool) -> Dataset:
    """The problems; a plan of a published set that is not at hand goes by its published size."""
    try:
        return load_problems(
            experiment.dataset,
            n=experiment.problems,
            seed=experiment.sampling.seed,
            answer_kind=experiment.answer_kind,
            fetch=fetch,
        )
    except UsageError:
        if fetch or experiment.dataset not in PUBLISHED_SIZE:
            raise
        return Dataset(name=experiment.dataset, path=None, sha256="", problems=())


def _fitted(
    settings: Sequence[Setting], works: Sequence[Work], dataset: Dataset, prompt: PromptTemplate, *, fetch: bool
) -> Iterator[Setting]:
    """Each model's settings with a context length that its own tokenizer says is enough."""
    for model, revision in dict.fromkeys((s.model, s.revision) for s in settings):
        directory = model_dir(model, revision=revision) if fetch else None
        tokens = tokens_of(directory) if directory else None
        count = (lambda text, encode=tokens.encode: len(encode(text))) if tokens else None
        own = [s for s in settings if (s.model, s.revision) == (model, revision)]
        if not dataset.problems:
            yield from own
            continue
        yield from fit_lengths(own, works, longest_prompt(dataset.problems, prompt, count=count))


def _prompting(setting: Setting, works: Sequence[Work], prompt: PromptTemplate, *, fetch: bool) -> Prompting:
    """With the model's own chat template and tokenizer where a method writes into the model's turn."""
    writes = any(METHODS[item.method].needs_completions for item in works)
    if not fetch or not (writes or setting.prefix_caching):
        return Prompting(prompt=prompt)
    directory = model_dir(setting.model, revision=setting.revision)
    tokens = tokens_of(directory) if directory else None
    tokenization = _tokenization(setting, prompt, tokens) if setting.prefix_caching else None
    if prompt.kind != "chat" or not writes:
        return Prompting(prompt=prompt, tokens=tokens, tokenization=tokenization)
    template = chat_template(setting.model, revision=setting.revision)
    return Prompting(
        prompt=prompt, render=template.render, tokens=tokens, template=template.source, tokenization=tokenization
    )


def _tokenization(setting: Setting, prompt: PromptTemplate, tokens: Tokens | None) -> Tokenization:
    """A model without a chat template can still be asked: its prompts' tokens are then not known."""
    try:
        template = chat_template(setting.model, revision=setting.revision) if prompt.kind == "chat" else None
    except UsageError:
        template = None
    return Tokenization(tokens=tokens, render=template.render if template else None)


def _of_the_plan(prepared: Prepared) -> Iterator[RunWarning]:
    experiment = prepared.experiment
    launcher = launcher_named(experiment.launcher)
    lanes = launcher.lanes(prepared.settings, prepared.machine, asked=experiment.parallel_servers)
    at_once = min(lanes, len(prepared.settings))  # repeats of one setting take turns
    if at_once > 1:
        yield warn(
            "parallel_servers",
            f"{at_once} servers ran at once and shared the machine's processor and memory",
        )
    weak = _weak_rounds(prepared.dataset, experiment)
    if weak:
        yield warn("small_rounds", weak)
    if experiment.grade_live:
        yield warn(
            "graded_live",
        )
    if experiment.insecure:
        yield warn(
            "insecure",
        )
