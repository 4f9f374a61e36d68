"""Prompt templates: how a problem is put to a model."""

from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tts_compare.domain import Problem
from tts_compare.errors import UsageError

PromptKind = Literal["chat", "completion"]
Messages = tuple[tuple[str, str], ...]
_SLOT = "{problem}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptTemplate:
    """A template with the slot ``{problem}``: ``messages`` for a chat, ``text`` for a completion.

    stop_at: where a completion's answer ends and the model goes on to a problem of its own. It cuts the text in
    grading and is never sent to an engine, because engines hold text back while a stop string could still match.
    """

    name: str
    kind: PromptKind
    messages: Messages = ()
    text: str = ""
    stop_at: str | None = None

    @property
    def sha256(self) -> str:
        """Of everything but the name, so that a renamed template is the same one."""
        content = {"kind": self.kind, "messages": self.messages, "text": self.text, "stop_at": self.stop_at}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def messages_for(self, problem: Problem) -> Messages:
        """The chat's ``(role, content)`` pairs; only the slot is replaced, braces of LaTeX stay."""
        return tuple((role, content.replace(_SLOT, problem.problem)) for role, content in self.messages)

    def text_for(self, problem: Problem) -> str:
        """The completion's prompt."""
        return self.text.replace(_SLOT, problem.problem)


_SHOTS = (
    ("What is 3 + 6?", "We add the numbers: 3 + 6 = 9.", "9"),
    ("Sam has 7 marbles and gives away 4. How many marbles does Sam have left?", "We subtract: 7 - 4 = 3.", "3"),
    ("Solve for $x$: $2x + 1 = 9$.", "Then $2x = 8$, so $x = 4$.", "4"),
    ("What is the area of a rectangle that is 2 long and 7 wide?", "The area is 2 times 7, so 14.", "14"),
)
_FEWSHOT = "".join(
    f"Problem: {problem}\nSolution: {work} The answer is \\boxed{{{answer}}}.\n\n" for problem, work, answer in _SHOTS
)

PROMPTS: dict[str, PromptTemplate] = {
    "math": PromptTemplate(
        name="math",
        kind="chat",
        messages=(("user", _SLOT + "\nPlease reason step by step, and put your final answer within \\boxed{}."),),
    ),
    "fewshot": PromptTemplate(
        name="fewshot",
        kind="completion",
        text=_FEWSHOT + f"Problem: {_SLOT}\nSolution:",
        stop_at="\n\nProblem",
    ),
}


def load_prompt(name_or_path: str) -> PromptTemplate:
    """A named template, or one from a file.

    A ``.toml`` file has ``text`` (a completion) or ``user`` and if wanted ``system`` (a chat), and if wanted
    ``stop_at``; any other file is the user's message of a chat. Raises UsageError, also where ``{problem}`` is missing.
    """
    if name_or_path in PROMPTS:
        return PROMPTS[name_or_path]
    path = Path(name_or_path)
    try:
        raw = path.read_bytes().decode()
    except FileNotFoundError:
        raise UsageError(f"no prompt {name_or_path!r}: give {' or '.join(PROMPTS)}, or a file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the prompt {path}: {error}") from error
    template = _from_toml(path, raw) if path.suffix == ".toml" else _chat(path.stem, {"user": raw.strip("\n")})
    if _SLOT not in template.text + "".join(content for _, content in template.messages):
        raise UsageError(f"the prompt {path} has no place for the problem; write {_SLOT} where it goes")
    return template


def _from_toml(path: Path, raw: str) -> PromptTemplate:
    try:
        fields = tomllib.loads(raw)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: not TOML: {error}") from error
    unknown = set(fields) - {"text", "user", "system", "stop_at"}
    if unknown or ("text" in fields) == ("user" in fields) or ("system" in fields and "text" in fields):
        raise UsageError(f"{path}: a prompt has `text`, or `user` and if wanted `system`, and if wanted `stop_at`")
    if not all(isinstance(value, str) for value in fields.values()):
        raise UsageError(f"{path}: every value of a prompt is a text")
    if "text" in fields:
        return PromptTemplate(name=path.stem, kind="completion", text=fields["text"], stop_at=fields.get("stop_at"))
    return _chat(path.stem, fields)


def _chat(name: str, fields: dict[str, str]) -> PromptTemplate:
    messages = tuple((role, fields[role]) for role in ("system", "user") if role in fields)
    return PromptTemplate(name=name, kind="chat", messages=messages, stop_at=fields.get("stop_at"))
