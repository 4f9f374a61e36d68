"""Controls of thinking before a server starts: what servers must be told, what is refused, which levels are alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tts_compare.backends import BACKENDS, ModelFacts
from tts_compare.backends.controls import template_variables
from tts_compare.codes import warn
from tts_compare.domain import Marks, Reasoning, RunWarning, Setting, Thinking, Work, effort_level
from tts_compare.errors import UsageError
from tts_compare.methods import Tokens, method_named
from tts_compare.methods.chat_template import ChatTemplate
from tts_compare.methods.model_files import model_dir, tokens_of

_PROBE = (("user", "x"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFiles:
    """What of a model's files tells how it thinks; None where they are not at hand."""

    template: ChatTemplate | None = None
    tokens: Tokens | None = field(default=None, repr=False)

    def prompt(self, thinking: Thinking | None) -> str | None:
        """A short prompt as the template renders it under a control; None where there is none, or it refuses."""
        variables = template_variables(thinking) if thinking else {}
        try:
            return self.template.render(_PROBE, variables=variables) if self.template else None
        except UsageError:
            return None


def model_files(setting: Setting, *, fetch: bool) -> ModelFiles:
    """The template and the tokenizer of a model of ours; of a hosted endpoint's nothing is known."""
    directory = model_dir(setting.model, revision=setting.revision, fetch=fetch) if not setting.hosted else None
    if directory is None:
        return ModelFiles()
    try:
        template = ChatTemplate.from_model_dir(directory)
    except UsageError:
        template = None
    return ModelFiles(template=template, tokens=tokens_of(directory))


def control_of(work: Work, tokens: Tokens | None = None) -> Thinking | None:
    """What the requests of a work ask of the model's thinking."""
    return method_named(work.method).control(work.budget, dict(work.options), tokens)


def told(settings: Sequence[Setting], works: Iterable[Work], facts: Mapping[str, ModelFacts | None]) -> list[Setting]:
    """The settings with what their servers must be told, the same for all, where any method controls the thinking.

    With a parser the servers tell thinking and answer apart. Servers that run already, and hosted ones, are told
    nothing. Raises UsageError where methods need different ends.
    """
    asked = [thinking for work in works if (thinking := control_of(work))]
    if not asked:
        return list(settings)
    bounded = [thinking for thinking in asked if thinking.budget is not None]
    ends = {(thinking.marks, thinking.end or thinking.marks.close) for thinking in bounded} or {(Marks(), "")}
    if len(ends) > 1:
        raise UsageError(
            "methods of this run end thinking in different ways, and a server is told one: run thinking_budget and "
            'force with force_in = "engine" apart'
        )
    ((marks, end),) = ends
    return [_told(s, Reasoning(open=marks.open, close=marks.close, end=end), facts.get(s.model)) for s in settings]


def _told(setting: Setting, reasoning: Reasoning, facts: ModelFacts | None) -> Setting:
    backend = BACKENDS[setting.backend]
    if backend.controls is None or setting.base_url is not None or not backend.launched:
        return setting
    parser = backend.controls.parser(setting.model, facts.architecture if facts else "")
    return replace(setting, reasoning=replace(reasoning, parser=parser))


def refused_control(setting: Setting, works: Iterable[Work], files: ModelFiles) -> str | None:
    """Why a setting cannot be asked as its methods ask, or would ignore it without a word; None where it can."""
    asked = [thinking for work in works if (thinking := control_of(work, files.tokens)) is not None]
    controls = BACKENDS[setting.backend].controls
    if asked and controls is None:
        return f"{setting.backend} has no known control of thinking"
    for thinking in asked:
        reason = controls.refusal(thinking, setting) if controls else None
        if reason := reason or _refused_by_files(thinking, setting, files):
            return reason
    return _levels_ignored([thinking for thinking in asked if thinking.effort is not None], files)


def _refused_by_files(thinking: Thinking, setting: Setting, files: ModelFiles) -> str | None:
    """What the template and the tokenizer show: a mark that is none, or a switch that switches nothing."""
    own = files.prompt(thinking)
    if thinking.budget is not None:
        return _unbounded(thinking, setting, files, own)
    if thinking.enabled is None or own is None:
        return None
    if own == files.prompt(replace(thinking, enabled=not thinking.enabled)):
        return "the model's chat template has no switch of thinking: it renders the same prompt with it on and off"
    return None


def _unbounded(thinking: Thinking, setting: Setting, files: ModelFiles, prompt: str | None) -> str | None:
    marks = thinking.marks
    if files.tokens is None:
        if setting.base_url is None and not (setting.reasoning and setting.reasoning.parser):
            return "no parser is known for this model's name, and its files are not at hand to look for its marks"
        return None
    if prompt is None or _is_open(prompt, marks.open, marks.close):
        return None
    if len(marks.open_ids) != 1:  # a model has learnt marks that are tokens of its own
        return (
            f"the model's chat template does not open a thinking block, and {marks.open} is no token that the model "
            "could open one by: a budget would do nothing"
        )
    return None


def _is_open(prompt: str, opened: str, closed: str) -> bool:
    """Whether the prompt ends inside a thinking block."""
    return prompt.rfind(opened) > prompt.rfind(closed)


def _levels_ignored(asked: Sequence[Thinking], files: ModelFiles) -> str | None:
    """Why no level can matter: the template never looks at it."""
    template = files.template
    switches = {thinking.effort == "none" for thinking in asked}
    prompts = {files.prompt(thinking) for thinking in asked}
    if not asked or template is None or len(prompts) > 1 or "reasoning_effort" in template.source:
        return None
    if switches == {True} and prompts != {files.prompt(None)}:
        return None  # an effort of none alone, which switches thinking off
    return "the model's chat template does not use reasoning_effort: every level renders the same prompt"


def alike_levels(works: Iterable[Work], files: ModelFiles) -> dict[str, str]:
    """Method of a level -> method of the first level that renders the same prompt, for those that have one before."""
    first: dict[str, str] = {}
    found: dict[str, str] = {}
    for work in works:
        thinking = control_of(work, files.tokens)
        if thinking is None or thinking.effort is None or (prompt := files.prompt(thinking)) is None:
            continue
        known = first.setdefault(prompt, work.method)
        if known != work.method:
            found[work.method] = known
    return found


def warnings_of(settings: Iterable[Setting], alike: Mapping[str, Mapping[str, str]]) -> Iterator[RunWarning]:
    """What is to be told before anything runs: levels that are one, a parser that nothing but a name speaks for."""
    for setting in settings:
        for method, known in alike.get(setting.model, {}).items():
            yield warn(
                "efforts_alike",
                f"the efforts {effort_level(known)} and {effort_level(method)} render the same prompt: they are one "
                f"point, {known}",
                setting=setting.id,
            )
        reasoning = setting.reasoning
        if reasoning and reasoning.parser and model_dir(setting.model, revision=setting.revision, fetch=False) is None:
            yield warn(
                "parser_unchecked",
                f"the reasoning parser {reasoning.parser} follows from the model's name; its files are not at hand, so "
                "that it fits is not checked",
                setting=setting.id,
            )
