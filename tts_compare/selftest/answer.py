"""One request of the embedded server as values: what is asked, what is said, and each chunk's JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from tts_compare.selftest import tokens
from tts_compare.selftest.replies import CannedReply, Planted, reply_to

Style = Literal["vllm", "sglang"]


class RequestRefusedError(Exception):
    """A request the server refuses: HTTP status, OpenAI's error type, what is wrong and with which parameter."""

    def __init__(self, status: int, kind: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.param = param

    def body(self) -> dict[str, Any]:
        """OpenAI's form of an error."""
        return {"error": {"message": str(self), "type": self.kind, "param": self.param, "code": self.status}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompted:
    """What a request asks for."""

    chat: bool
    prompt: str
    model: str
    max_tokens: int
    stream: bool
    include_usage: bool
    running_usage: bool
    token_ids: bool
    n: int
    seed: int
    temperature: float
    ignore_eos: bool
    stop: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedChoice:
    """One choice: its pieces in order, how many of them are reasoning, and how it ends.

    ``eos`` is True where the end-of-sequence token was generated, and counted.
    """

    pieces: tuple[str, ...]
    reasoning_tokens: int
    finish_reason: str
    eos: bool

    @property
    def count(self) -> int:
        """Tokens generated, the end-of-sequence token included."""
        return len(self.pieces) + self.eos


@dataclass(slots=True, kw_only=True)
class Truth:
    """What the server really did, to be compared with what a client measured. Instants are monotonic."""

    request_id: str
    fault: str
    sent_ns: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    first_answer_ns: int | None = None


def parse_ask(body: dict[str, Any], *, chat: bool, max_model_len: int, unseeded: int) -> Prompted:
    """Read a request's body. ``unseeded`` is the seed of a request that states none. Raises: RequestRefusedError."""
    prompt = _chat_prompt(body.get("messages")) if chat else _plain_prompt(body.get("prompt"))
    options = body.get("stream_options") or {}
    room = max_model_len - len(tokens.encode(prompt))
    stated = body.get("max_completion_tokens") or body.get("max_tokens")
    if stated is not None and (not isinstance(stated, int) or stated < 1):
        raise RequestRefusedError(400, "BadRequestError", "max_tokens must be at least 1", "max_tokens")
    wanted = stated or (room if chat else 16)
    if wanted > room:
        message = f"This model's maximum context length is {max_model_len} tokens; {wanted} were asked for, {room} left"
        raise RequestRefusedError(400, "BadRequestError", message, "max_tokens")
    n = body.get("n") or 1
    temperature = body.get("temperature", 1.0)
    if not isinstance(n, int) or not 1 <= n <= 128 or not isinstance(temperature, int | float) or temperature < 0:
        raise RequestRefusedError(400, "BadRequestError", "n must be 1 to 128, temperature a number of at least 0")
    stop = body.get("stop") or ()
    seed = body.get("seed")
    return Prompted(
        chat=chat,
        prompt=prompt,
        model=str(body.get("model", "")),
        max_tokens=wanted,
        stream=body.get("stream") is True,
        include_usage=bool(options.get("include_usage")),
        running_usage=bool(options.get("include_usage") and options.get("continuous_usage_stats")),
        token_ids=bool(body.get("return_token_ids")),
        n=n,
        seed=seed if isinstance(seed, int) else unseeded,
        temperature=float(temperature),
        ignore_eos=bool(body.get("ignore_eos")),
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
    )


def say(ask: Prompted, planted: Sequence[Planted]) -> tuple[ScriptedChoice, ...]:
    """Return what each choice says, cut at a stop string and at max_tokens."""
    said = []
    for i in range(ask.n):
        reply = reply_to(ask.prompt, planted, temperature=ask.temperature, seed=ask.seed + i)
        said.append(_said(ask, reply))
    return tuple(said)


def _said(ask: Prompted, reply: CannedReply) -> ScriptedChoice:
    text, reasoning = reply.text, reply.reasoning
    if reasoning and not ask.chat:  # a completion has no field for it
        text, reasoning = f"<think>{reasoning}</think>{text}", ""
    stops = [at for at in (text.find(s) for s in ask.stop) if at >= 0]
    if stops:
        text = text[: min(stops)]
    thoughts, answer = tokens.pieces(reasoning), tokens.pieces(text)
    all_pieces = thoughts + answer
    while ask.ignore_eos and len(all_pieces) < ask.max_tokens:
        all_pieces += answer or [" on"]
    ended = len(all_pieces) < ask.max_tokens and not ask.ignore_eos
    kept = tuple(all_pieces[: ask.max_tokens])
    return ScriptedChoice(
        pieces=kept,
        reasoning_tokens=min(len(thoughts), len(kept)),
        finish_reason="stop" if ended else "length",
        eos=ended,
    )


class Renderer:
    """Renders a request's chunks as JSON; what does not change is rendered once."""

    def __init__(
        self, ask: Prompted, said: Sequence[ScriptedChoice], *, style: Style, cached_tokens: int | None
    ) -> None:
        self.ask = ask
        self.said = said
        self.style = style
        self.prompt_tokens = len(tokens.encode(ask.prompt))
        self.cached_tokens = cached_tokens
        self.created = int(time.time())
        self.id = f"{'chatcmpl' if ask.chat else 'cmpl'}-{time.monotonic_ns():x}"
        kind = "chat.completion.chunk" if ask.chat else "text_completion"
        start = {"id": self.id, "object": kind, "created": self.created, "model": ask.model}
        self._start = json.dumps(start, separators=(",", ":"))[:-1] + ',"choices":['

    def named(self, model: str) -> Renderer:
        """The same answer by a model of another name."""
        ask = replace(self.ask, model=model)
        return Renderer(ask, self.said, style=self.style, cached_tokens=self.cached_tokens)

    def role(self, index: int) -> bytes:
        """The first chunk of a chat's choice: a role, no token."""
        usage = self._usage(0) if self.ask.running_usage and self.style == "vllm" else ""
        choice = f'{{"index":{index},"delta":{{"role":"assistant","content":""}},"logprobs":null,"finish_reason":null}}'
        return f"{self._start}{choice}]{usage}}}".encode()

    def chunk(
        self,
        index: int,
        text: str,
        *,
        count: int,
        ids: Sequence[int] = (),
        thought: bool = False,
        finish: str | None = None,
        counted: bool = True,
    ) -> bytes:
        """A chunk of text; ``count`` is the running count of the choice's tokens after it."""
        quoted = json.dumps(text)
        if self.ask.chat:
            name = ("reasoning" if self.style == "vllm" else "reasoning_content") if thought else "content"
            body = f'"delta":{{"{name}":{quoted}}}'
        else:
            body = f'"text":{quoted}'
        end = f'"{finish}"' if finish else "null"
        shown = f',"token_ids":[{",".join(map(str, ids))}]' if self.ask.token_ids and self.style == "vllm" else ""
        usage = self._usage(count) if self.ask.running_usage and counted else ""
        choice = f'{{"index":{index},{body},"logprobs":null,"finish_reason":{end}{shown}}}'
        return f"{self._start}{choice}]{usage}}}".encode("utf-8", errors="replace")

    def last(self, metrics: dict[str, float] | None) -> bytes:
        """The chunk with the whole request's usage and no choices."""
        more = f',"metrics":{json.dumps(metrics)}' if metrics else ""
        return f"{self._start}]{self._usage(sum(s.count for s in self.said))}{more}}}".encode()

    def whole(self) -> dict[str, Any]:
        """The answer to a request that asked for no stream."""
        choices = []
        for i, said in enumerate(self.said):
            thought = "".join(said.pieces[: said.reasoning_tokens])
            text = "".join(said.pieces[said.reasoning_tokens :])
            message: dict[str, Any] = {"role": "assistant", "content": text}
            if thought:
                message["reasoning" if self.style == "vllm" else "reasoning_content"] = thought
            body = {"message": message} if self.ask.chat else {"text": text}
            choices.append({"index": i, **body, "logprobs": None, "finish_reason": said.finish_reason})
        return {
            "id": self.id,
            "object": "chat.completion" if self.ask.chat else "text_completion",
            "created": self.created,
            "model": self.ask.model,
            "choices": choices,
            "usage": self.usage(sum(s.count for s in self.said)),
        }

    def usage(self, count: int) -> dict[str, Any]:
        """The usage object for ``count`` completion tokens."""
        usage: dict[str, Any] = {
            "prompt_tokens": self.prompt_tokens,
            "total_tokens": self.prompt_tokens + count,
            "completion_tokens": count,
        }
        if self.cached_tokens is not None:
            usage["prompt_tokens_details"] = {"cached_tokens": self.cached_tokens}
        return usage

    def _usage(self, count: int) -> str:
        return ',"usage":' + json.dumps(self.usage(count), separators=(",", ":"))


def _chat_prompt(messages: object) -> str:
    if not isinstance(messages, list) or not messages:
        raise RequestRefusedError(400, "BadRequestError", "messages must be a list of at least one message", "messages")
    parts = []
    for message in messages:
        if not isinstance(message, dict) or "role" not in message:
            raise RequestRefusedError(400, "BadRequestError", "every message needs a role", "messages")
        content = message.get("content") or ""
        if isinstance(content, list):
            content = "".join(part.get("text", "") for part in content if isinstance(part, dict))
        parts.append(f"<|{message['role']}|>\n{content}\n")
    return "".join(parts) + "<|assistant|>\n"


def _plain_prompt(prompt: object) -> str:
    if isinstance(prompt, list) and len(prompt) == 1 and not isinstance(prompt[0], int):
        prompt = prompt[0]
    if isinstance(prompt, list) and prompt and all(isinstance(i, int) for i in prompt):
        return tokens.decode(prompt)
    if not isinstance(prompt, str):
        raise RequestRefusedError(400, "BadRequestError", "prompt must be one text or one list of token ids", "prompt")
    return prompt
