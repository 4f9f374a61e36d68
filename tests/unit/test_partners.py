"""Which setting stands against which: equal ids, then ids but for the version, then a single pair of one model."""

from __future__ import annotations

import pytest

from tts_compare.analysis.findings.partners import find_partners, parse_map
from tts_compare.errors import UsageError
from tts_compare.rundir.facts import SettingFacts


def facts(*ids: str) -> dict[str, SettingFacts]:
    return {name: SettingFacts(model=name.split("/")[1]) for name in ids}


@pytest.mark.parametrize(
    ("a", "b", "found"),
    [
        (("vllm/m/tp1", "vllm/m/tp2"), ("vllm/m/tp2", "vllm/m/tp4"), {"vllm/m/tp2": "vllm/m/tp2"}),
        (("vllm/m/tp1", "vllm/m/tp2"), ("vllm==1/m/tp1", "vllm==1/m/tp4"), {"vllm==1/m/tp1": "vllm/m/tp1"}),
        (("vllm==1/m/tp1",), ("vllm==2/m/tp1",), {"vllm==2/m/tp1": "vllm==1/m/tp1"}),
        # Which of the two versions is meant cannot be known, but for the one that is in both runs.
        (("vllm/m/tp1",), ("vllm==1/m/tp1", "vllm==2/m/tp1"), {}),
        (("vllm==1/m/tp1", "vllm==2/m/tp1"), ("vllm==2/m/tp1",), {"vllm==2/m/tp1": "vllm==2/m/tp1"}),
        # One setting a side: of equal models only.
        (("vllm/m/tp1",), ("sglang/m/tp2",), {"sglang/m/tp2": "vllm/m/tp1"}),
        (("vllm/m/tp1",), ("vllm/other/tp1",), {}),
        (("vllm/m/tp1", "vllm/m/tp2"), ("sglang/m/tp1",), {}),
    ],
)
def test_settings_find_their_partners(a: tuple[str, ...], b: tuple[str, ...], found: dict[str, str]) -> None:
    assert find_partners(facts(*a), facts(*b)) == found


def test_a_model_that_nobody_states_is_equal_to_none() -> None:
    assert find_partners({"a/m": SettingFacts()}, {"b/m": SettingFacts()}) == {}


def test_a_map_comes_first_and_may_name_part_of_an_id() -> None:
    a, b = facts("vllm/m/none", "vllm/m/ngram"), facts("vllm/m/none", "vllm/m/eagle")
    assert find_partners(a, b, mapped={"ngram": "vllm/m/eagle"}) == {
        "vllm/m/eagle": "vllm/m/ngram",
        "vllm/m/none": "vllm/m/none",
    }
    assert find_partners(a, b, mapped={"vllm/m/ngram": "vllm/m/none"}) == {"vllm/m/none": "vllm/m/ngram"}


@pytest.mark.parametrize(
    "mapped", [{"nobody": "none"}, {"none": "nobody"}, {"m": "none"}, {"none": "none", "ngram": "none"}]
)
def test_a_map_that_is_not_one_pair_of_settings_is_bad_usage(mapped: dict[str, str]) -> None:
    names = facts("vllm/m/none", "vllm/m/ngram")
    with pytest.raises(UsageError, match="--map"):
        find_partners(names, names, mapped=mapped)


def test_the_sign_of_a_version_does_not_part_a_map() -> None:
    assert parse_map("vllm==0.31.0/m=vllm==0.32.0/m") == ("vllm==0.31.0/m", "vllm==0.32.0/m")
    for text in ("vllm==1/m", "a=b=c", "=b", "a="):
        with pytest.raises(UsageError, match="--map"):
            parse_map(text)
