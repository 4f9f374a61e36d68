"""One server configuration that is compared, and where it answers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Annotated

from tts_compare.domain.about import about
from tts_compare.domain.words import Device, SpeculationKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Speculation:
    """How draft tokens are proposed; the defaults of ``ngram`` are those of arXiv:2509.19645: 5 tokens, lookup 1..4."""

    kind: Annotated[SpeculationKind, about("`none`, `ngram`, or what kind of draft model")] = "none"
    num_tokens: Annotated[int, about("draft tokens a step")] = 5
    lookup_min: Annotated[int, about("shortest n-gram looked up")] = 1
    lookup_max: Annotated[int, about("longest n-gram looked up")] = 4
    model: Annotated[str | None, about("the draft model")] = None

    @property
    def id(self) -> str:
        """``none``, ``ngram``, ``ngram-3-2-4`` (num_tokens, lookup_min, lookup_max), ``eagle-5-<draft model>``."""
        if self.kind == "none":
            return "none"
        if self.kind == "ngram":
            own = (self.num_tokens, self.lookup_min, self.lookup_max)
            return "ngram" if own == (5, 1, 4) else f"ngram-{own[0]}-{own[1]}-{own[2]}"
        draft = f"-{model_slug(self.model)}" if self.model else ""
        return f"{self.kind}-{self.num_tokens}{draft}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """A hosted endpoint's price, in US dollars per million tokens."""

    input: Annotated[float, about("prompt tokens")]
    output: Annotated[float, about("generated tokens")]
    cached: Annotated[float | None, about("prompt tokens from a cache; null: as `input`")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One server configuration that is compared; hashable, and named by ``id``.

    ``max_model_len`` in tokens; ``max_num_seqs`` is the batch limit; ``threads_per_rank`` matters on a CPU only.
    ``base_url`` marks a server that we do not start: hosted, or attached. ``hosted``: the endpoint is its owner's, who
    alone knows its devices, dtype and limits; an attached server is not hosted. ``replica`` names a copy that
    differs in nothing else. ``nodes``: over how many nodes of a cluster one server's ranks are dealt.
    """

    backend: str
    model: str
    version: str | None = None
    revision: str | None = None
    device: Device = "cpu"
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    data_parallel: int = 1
    speculation: Speculation = field(default_factory=Speculation)
    dtype: str = "auto"
    max_model_len: int | None = None
    max_num_seqs: int = 16
    prefix_caching: bool = False
    threads_per_rank: int | None = None
    seed: int = 0
    engine_args: tuple[str, ...] = ()
    base_url: str | None = None
    api_key_env: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    price: Price | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    max_concurrency: int | None = None
    replica: str | None = None
    hosted: bool = False
    nodes: int = 1

    @property
    def devices(self) -> int | None:
        """TP x PP x DP, the ranks on a CPU; None for a hosted endpoint, whose devices are not ours to count."""
        if self.hosted:
            return None
        return self.tensor_parallel * self.pipeline_parallel * self.data_parallel

    @property
    def id(self) -> str:
        """``<backend>[==version]/<model>/tp1-pp1-dp1/<speculation>[/<hash of the rest>][+<replica>]``."""
        engine = self.backend + (f"=={self.version}" if self.version else "")
        shape = f"tp{self.tensor_parallel}-pp{self.pipeline_parallel}-dp{self.data_parallel}"
        base = f"{engine}/{model_slug(self.model)}/{shape}/{self.speculation.id}"
        rest = {
            "revision": self.revision,
            "dtype": None if self.dtype == "auto" else self.dtype,
            "engine_args": self.engine_args or None,
            "base_url": self.base_url if self.hosted else None,
            "nodes": self.nodes if self.nodes > 1 else None,
        }
        stated = {k: v for k, v in rest.items() if v is not None}
        copy = f"+{self.replica}" if self.replica else ""
        if not stated:
            return base + copy
        digest = hashlib.sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()[:6]
        return f"{base}/{digest}{copy}"


def model_slug(model: str) -> str:
    """The last path component of a model's name, lower-cased: what a setting id and a served name hold."""
    return model.rstrip("/").rsplit("/", 1)[-1].lower()
