"""The name a server is asked for, against the list it gives."""

from __future__ import annotations

import pytest

from tts_compare.domain import Setting
from tts_compare.launchers.model_names import listed_part, name_to_send, unlisted

LISTED = ("gpt-4o", "o3", "Qwen2.5-7B")


def hosted(model: str, address: str = "https://host/v1", backend: str = "openai") -> Setting:
    return Setting(backend=backend, model=model, base_url=address, hosted=backend == "openai")


@pytest.mark.parametrize(
    ("setting", "name"),
    [
        (hosted("gpt-4o"), "gpt-4o"),
        (hosted("/models/gpt-4o/"), "gpt-4o"),
        (hosted("/models/Qwen2.5-7B", backend="vllm"), "Qwen2.5-7B"),
        (hosted("re2-gpt-4o"), "re2-gpt-4o"),
        (hosted("gpt-5"), None),
        (hosted("re2-gpt-4o", backend="vllm"), None),
        (hosted("my-deployment", "https://us.openai.azure.com/openai/v1"), "my-deployment"),
        (hosted("my-deployment", "https://azure.com.example/v1"), None),
        (hosted("my-deployment", "https://us.openai.azure.com/v1", backend="vllm"), None),
    ],
)
def test_a_name_is_sent_unless_the_list_speaks_against_it(setting: Setting, name: str | None) -> None:
    assert name_to_send(setting, LISTED) == name
    assert name_to_send(setting, ()) == setting.model


@pytest.mark.parametrize(
    ("model", "part"),
    [("bon-gpt-4o", "gpt-4o"), ("gpt-4o:floor", "gpt-4o"), ("re2-x-gpt-4o", "x-gpt-4o"), ("gpt-4o-min", None)],
)
def test_a_name_is_around_a_listed_one_only_with_a_prefix_or_a_variant(model: str, part: str | None) -> None:
    assert listed_part(model, ("gpt-4o", "x-gpt-4o", "o")) == part


def test_only_a_name_of_which_a_part_is_listed_is_warned_of() -> None:
    assert [warning.code for warning in unlisted(hosted("re2-gpt-4o"), LISTED)] == ["model_not_listed"]
    assert unlisted(hosted("gpt-4o"), LISTED) == ()
    assert unlisted(hosted("my-gpt-4o", "https://us.openai.azure.com/openai/v1"), LISTED) == ()
