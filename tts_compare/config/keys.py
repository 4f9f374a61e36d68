"""Every key of the configuration and what reads its value. A key is the long flag's name with underscores."""

from __future__ import annotations

from typing import Any, get_args

from tts_compare.backends import BACKENDS
from tts_compare.config.experiment import Curve, Grader
from tts_compare.config.serving import (
    by_engine,
    engine_args,
    engine_ref,
    join_engine_args,
    price,
    replicas,
    speculation,
    speculation_rule,
)
from tts_compare.config.values import (
    Parse,
    count,
    file_name,
    flag,
    fraction,
    integer,
    many,
    named,
    number,
    one_of,
    option,
    path,
    positive,
    probability,
    strictness,
    table,
    tables,
    text,
    url,
    whole,
)
from tts_compare.domain import AnswerKind, Policy

#: Names that say the same in full.
SYNONYMS = {
    "tensor_parallel": "tp",
    "pipeline_parallel": "pp",
    "data_parallel": "dp",
    "speculation": "spec",
    "price_usd_per_million": "price",
}

HOSTED: dict[str, Parse[Any]] = {
    "base_url": url,
    "api_key_env": text,
    "headers": named(text),
    "price": price,
    "requests_per_minute": count,
    "tokens_per_minute": count,
    "max_concurrency": count,
}

AXES: dict[str, Parse[Any]] = {
    "backend": many(engine_ref(BACKENDS)),
    "model": many(path),
    "tp": many(count),
    "pp": many(count),
    "dp": many(count),
    "spec": many(speculation),
    "dtype": many(text),
    "replica": replicas,
}

SAMPLING: dict[str, Parse[Any]] = {
    "temperature": number,
    "top_p": fraction,
    "top_k": integer,
    "min_p": probability,
    "repetition_penalty": positive,
    "seed": whole,
}

LIMITS: dict[str, Parse[Any]] = {
    "connect_s": positive,
    "first_byte_s": positive,
    "idle_s": positive,
    "total_s": positive,
    "start_s": positive,
}

_RULE: dict[str, Parse[Any]] = {
    "backend": many(lambda value: str(engine_ref(BACKENDS)(value))),
    "model": many(path),
    "tp": many(lambda value: str(count(value))),
    "pp": many(lambda value: str(count(value))),
    "dp": many(lambda value: str(count(value))),
    "spec": many(speculation_rule),
    "dtype": many(text),
}

#: Keys that a flag extends, engine by engine or name by name, where every other key is replaced.
MERGED = ("attach", "engine_python", "engine_args", "headers", "limits", "method_options")

TOP: dict[str, Parse[Any]] = {
    "name": file_name,
    **AXES,
    "engine_args": by_engine(engine_args, BACKENDS, join_engine_args),
    **HOSTED,
    "settings": tables(table({**AXES, "engine_args": engine_args, **HOSTED}, SYNONYMS)),
    "include": tables(table(_RULE, SYNONYMS)),
    "exclude": tables(table(_RULE, SYNONYMS)),
    "revision": text,
    "device": one_of("auto", "cpu", "cuda"),
    "max_model_len": count,
    "max_num_seqs": count,
    "prefix_caching": flag,
    "threads_per_rank": count,
    "method": many(text),
    "method_options": named(named(option)),
    "budget": many(count),
    "curve": one_of(*get_args(Curve)),
    "spot_check": whole,
    "samples": count,
    "repeats": count,
    "rounds": count,
    "dataset": path,
    "problems": count,
    "answer_kind": one_of(*get_args(AnswerKind)),
    "prompt": path,
    **SAMPLING,
    "concurrency": many(count),
    "request_rate": many(positive),
    "workers": count,
    "policy": one_of(*get_args(Policy)),
    "grader": one_of(*get_args(Grader)),
    "grade_live": flag,
    "attach": by_engine(url, BACKENDS),
    "engine_python": by_engine(path, BACKENDS),
    "launcher": text,
    "parallel_servers": count,
    "max_restarts": whole,
    "gpu_hour_usd": number,
    "budget_usd": positive,
    "limits": table(LIMITS),
    "out": path,
    "resume": path,
    "retry_failed": flag,
    "quiet": flag,
    "no_color": flag,
    "strict": strictness,
    "insecure": flag,
}
