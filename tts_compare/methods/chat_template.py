"""A model's own chat template, rendered here where a method writes into the model's turn."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from tts_compare.errors import UsageError
from tts_compare.methods.prompts import Messages

_FILES = ("tokenizer_config.json", "chat_template.jinja")
_GENERATION = re.compile(r"(\{%[-+]?\s*)(end)?generation(\s*[-+]?%\})")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatTemplate:
    """The Jinja source as the model brings it, and the special tokens it names.

    adds_bos: the tokenizer puts the first token before any text it is given, so that a template which writes it
    too would give it twice through ``/v1/completions``; ``render`` then leaves the template's away.
    """

    source: str
    bos_token: str = ""
    eos_token: str = ""
    adds_bos: bool = False

    @classmethod
    def from_model_dir(cls, path: str | Path) -> ChatTemplate:
        """Read ``chat_template.jinja`` or the template in ``tokenizer_config.json``; UsageError if there is none."""
        directory = Path(path)
        try:
            config = json.loads((directory / _FILES[0]).read_text()) if (directory / _FILES[0]).exists() else {}
            separate = directory / _FILES[1]
            source = separate.read_text() if separate.exists() else _default(config.get("chat_template"))
        except (OSError, ValueError) as error:
            raise UsageError(f"cannot read the chat template of {directory}: {error}") from error
        if not source:
            raise UsageError(f"{directory} has no chat template; use a completion prompt (--prompt fewshot)")
        return cls(
            source=source,
            bos_token=_token(config.get("bos_token")),
            eos_token=_token(config.get("eos_token")),
            adds_bos=_adds_bos(directory, config),
        )

    @property
    def sha256(self) -> str:
        """Of the source."""
        return hashlib.sha256(self.source.encode()).hexdigest()

    def render(
        self, messages: Messages, *, generation_prompt: bool = True, variables: Mapping[str, Any] | None = None
    ) -> str:
        """The prompt that ends where the model's turn begins, or without ``generation_prompt`` after the last message.

        variables: what the template is given besides, such as ``enable_thinking``. Raises UsageError where the
        template refuses.
        """
        import jinja2

        try:
            text: str = (
                _environment()
                .from_string(_GENERATION.sub(_as_condition, self.source))
                .render(
                    messages=[{"role": role, "content": content} for role, content in messages],
                    bos_token=self.bos_token,
                    eos_token=self.eos_token,
                    add_generation_prompt=generation_prompt,
                    tools=None,
                    documents=None,
                    **(variables or {}),
                )
            )
        except jinja2.TemplateError as error:
            raise UsageError(f"the model's chat template does not take this prompt: {error}") from error
        return text.removeprefix(self.bos_token) if self.adds_bos and self.bos_token else text


def _environment() -> Any:
    """Jinja as chat templates expect it, sandboxed: the template comes with a model from anywhere."""
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = lambda value, indent=None: json.dumps(value, ensure_ascii=False, indent=indent)
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = lambda form: datetime.now().astimezone().strftime(form)
    return environment


def _as_condition(found: re.Match[str]) -> str:
    """The tag by which trainers find the model's turns, which Jinja does not know, as one that changes nothing."""
    return f"{found.group(1)}{'endif' if found.group(2) else 'if true'}{found.group(3)}"


def _refuse(message: str) -> NoReturn:
    import jinja2

    raise jinja2.TemplateError(message)


def _default(template: Any) -> str:
    """The template, or of several named ones the one called ``default``."""
    if isinstance(template, list):
        return next((str(item["template"]) for item in template if item.get("name") == "default"), "")
    return template or ""


def _token(token: Any) -> str:
    """A special token, which stands as a text or as a table with its ``content``."""
    return str(token.get("content", "")) if isinstance(token, dict) else (token or "")


def _adds_bos(directory: Path, config: dict[str, Any]) -> bool:
    """As ``tokenizer.json`` does it, which the engines load; else as the tokenizer's configuration says."""
    if (directory / "tokenizer.json").exists():
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
        plain, special = (tokenizer.encode("a", add_special_tokens=special).ids for special in (False, True))
        first = tokenizer.token_to_id(_token(config.get("bos_token")))
        return len(special) > len(plain) and special[0] == first
    return bool(config.get("add_bos_token", False))
