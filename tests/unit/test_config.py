"""The configuration: what each key means, what is refused and in which words, and that flags override the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts_compare.cli.parser import build_parser
from tts_compare.config import Experiment, load_experiment, shipped_configs
from tts_compare.config.keys import SYNONYMS, TOP
from tts_compare.domain import Price, Sampling, Speculation
from tts_compare.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]


def flags(**given: Any) -> Experiment:
    return load_experiment(None, given, environ={})


def from_toml(tmp_path: Path, text: str, **given: Any) -> Experiment:
    (tmp_path / "x.toml").write_text(text)
    return load_experiment(tmp_path / "x.toml", given, environ={})


def refused(tmp_path: Path, text: str) -> str:
    with pytest.raises(UsageError) as caught:
        from_toml(tmp_path, text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_nothing_given_is_both_engines_greedy_one_at_a_time_at_the_papers_budgets() -> None:
    experiment = flags()
    assert [str(engine) for engine in experiment.axes.backends] == ["vllm", "sglang"]
    assert experiment.budgets == (1024, 2048, 4096, 8192, 16384)
    assert (experiment.loads, experiment.dataset, experiment.sampling) == (("c1",), "math500", Sampling())


def test_flags_as_typed_and_toml_as_written_are_the_same_experiment(tmp_path: Path) -> None:
    text = """
    backend = ["vllm==0.32.0", "sglang"]
    model = "m"
    tp = [1, 2]
    spec = ["none", { kind = "ngram", num_tokens = 3, lookup_min = 2, lookup_max = 4 }]
    budget = ["1k", 4096]
    concurrency = [1, 8]
    price = { input = 0.15, output = 0.6 }
    temperature = 0.6
    name = "run"
    [engine_args]
    vllm = ["--enable-chunked-prefill", "--block-size", 32]
    [attach]
    sglang = "http://host:8000/"
    """
    typed = flags(
        backend="vllm==0.32.0,sglang",
        model="m",
        tp="1,2",
        spec="none,ngram-3-2-4",
        budget="1k,4k",
        concurrency="1,8",
        price="0.15/0.60",
        temperature="0.6",
        engine_args=["vllm=--enable-chunked-prefill", "vllm=--block-size 32"],
        attach=["sglang=http://host:8000"],
    )
    assert from_toml(tmp_path, text) == typed
    assert typed.axes.hosted.price == Price(input=0.15, output=0.6)
    assert typed.loads == ("c1", "c8")


def test_flags_override_the_file_and_none_is_not_given(tmp_path: Path) -> None:
    experiment = from_toml(tmp_path, 'budget = "4k"\nseed = 7\ntp = 2', budget="1k", seed=None)
    assert (experiment.budgets, experiment.sampling.seed, experiment.axes.tensor_parallel) == ((1024,), 7, (2,))


def test_a_load_flag_replaces_the_load_of_the_file_whole(tmp_path: Path) -> None:
    assert from_toml(tmp_path, "request_rate = 2.5\nconcurrency = 4", concurrency="8").loads == ("c8",)
    assert from_toml(tmp_path, "request_rate = [2.5, 10]").loads == ("r2.5", "r10")


def test_what_a_flag_says_of_one_engine_leaves_the_others(tmp_path: Path) -> None:
    text = '[engine_args]\nvllm = ["--a"]\nsglang = ["--b"]'
    experiment = from_toml(tmp_path, text, engine_args=["vllm=--c"])
    assert experiment.axes.engine_args == {"vllm": (("--c",),), "sglang": (("--b",),)}


def test_engine_args_keep_their_quotes_and_alternatives(tmp_path: Path) -> None:
    assert flags(engine_args=["vllm=--x '{\"a\": 1}'"]).axes.engine_args["vllm"] == (("--x", '{"a": 1}'),)
    alternatives = from_toml(tmp_path, '[engine_args]\nvllm = [["--a"], ["--b", "1"], []]').axes.engine_args
    assert alternatives["vllm"] == (("--a",), ("--b", "1"), ())


def test_the_file_names_the_run_unless_it_does_so_itself(tmp_path: Path) -> None:
    assert from_toml(tmp_path, "").name == "x"
    assert from_toml(tmp_path, 'name = "mine"').name == "mine"
    (tmp_path / "my grid!.toml").write_text("")
    assert load_experiment(tmp_path / "my grid!.toml").name == "my-grid"


@pytest.mark.parametrize("name", shipped_configs())
def test_every_shipped_configuration_loads(name: str) -> None:
    assert load_experiment(name).name == name


def test_the_papers_grid_is_the_papers() -> None:
    paper = load_experiment("paper")
    assert len(paper.axes.models) == 6
    assert paper.axes.tensor_parallel == (1, 2, 4)
    assert paper.axes.speculations == (
        Speculation(),
        Speculation(kind="ngram", num_tokens=5, lookup_min=1, lookup_max=4),
    )
    assert paper.budgets == (1024, 2048, 4096, 8192, 16384)
    assert (paper.sampling.temperature, paper.loads, paper.dataset) == (0.0, ("c1",), "math500")


def test_the_sampled_paper_differs_in_its_sampling_alone() -> None:
    paper, sampled = load_experiment("paper"), load_experiment("paper-sampled")
    assert (sampled.sampling, sampled.samples) == (Sampling(temperature=0.6, top_p=0.95), 4)
    assert (sampled.axes, sampled.budgets, sampled.methods) == (paper.axes, paper.budgets, paper.methods)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bugdet = 4", "bugdet: unknown key; did you mean 'budget'?"),
        ("tensor_paralel = 2", "tensor_paralel: unknown key; did you mean 'tensor_parallel'?"),
        ("[limits]\nidel_s = 3", "limits.idel_s: unknown key; did you mean 'idle_s'?"),
        ('[[settings]]\nmodle = "m"', "settings[0].modle: unknown key; did you mean 'model'?"),
        ('[[exclude]]\nbackend = "sglan"', "exclude[0].backend: unknown backend 'sglan'; did you mean 'sglang'?"),
        ('spec = { kind = "ngram", lookup = 3 }', "spec: unknown key 'lookup' of a speculation; did you mean"),
        ('method = "vote"\n[method_options.vot]\nn = 1', "method_options.vot: no method of that name is run; did you"),
        ("tp = 1\ntensor_parallel = 2", "tensor_parallel: the same as 'tp', which is given too"),
        ("limits = 3", "limits: a table is expected"),
        ("settings = 3", "settings: a list of tables is expected"),
        ("tp = []", "tp: the list is empty"),
        ("tp = [1, true]", "tp: True is not a whole number"),
        ("this is no toml", "not TOML"),
        ("headers = { a = 1 }", "headers.a: 1 is not a text"),
    ],
)
def test_a_file_that_cannot_be_used_names_the_key_and_the_nearest_right_one(
    tmp_path: Path, text: str, message: str
) -> None:
    said = refused(tmp_path, text)
    assert message in said
    assert said.startswith((f"{tmp_path}/x.toml: ", "method_options"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"backend": "vlm"}, "--backend: unknown backend 'vlm'; did you mean 'vllm'?"),
        ({"backend": "vllm=="}, "--backend: 'vllm==' names no version"),
        ({"backend": "vllm==../x"}, "--backend: 'vllm==../x' names no version"),
        ({"name": "../out"}, "--name: '../out' may hold letters"),
        ({"budget": "0"}, "--budget: 0 must be at least 1"),
        ({"budget": "1k,-4"}, "--budget: '-4' is not a whole number"),
        ({"budget": "1.5k"}, "--budget: '1.5k' is not a whole number such as 512, 1k or 16k"),
        ({"price": "cheap"}, "--price: 'cheap' is not a price; write IN/OUT"),
        ({"price": "1/free"}, "--price: 'free' is not a number"),
        ({"price": "1/-1"}, "--price: -1 must be at least 0"),
        ({"price": "nan/1"}, "--price: nan must be at least 0"),
        ({"gpu_hour_usd": "two"}, "--gpu-hour-usd: 'two' is not a number"),
        ({"temperature": "-1"}, "--temperature: -1 must be at least 0"),
        ({"top_p": "1.5"}, "--top-p: 1.5 must be above 0 and at most 1"),
        ({"spec": "ngramm"}, "--spec: 'ngramm' is not known; did you mean 'ngram'?"),
        ({"spec": "ngram-5"}, None),
        ({"spec": "ngram-5-4-1"}, "--spec: lookup 4..1 is no range"),
        ({"spec": "ngram-5-4"}, "--spec: 'ngram-5-4': write KIND-TOKENS, or ngram-TOKENS-MIN-MAX"),
        ({"spec": "eagle"}, "--spec: eagle needs a draft model"),
        ({"spec": "ngram:m"}, "--spec: ngram takes no draft model"),
        ({"engine_args": ["--flag"]}, "--engine-args: '--flag' names no engine; write BACKEND=VALUE"),
        ({"engine_args": ["--tp=3"]}, "--engine-args: '--tp=3' names no engine"),
        ({"engine_args": ["vllm='"]}, '--engine-args: "\'" cannot be split'),
        ({"engine_args": ["vlm=--x"]}, "--engine-args: unknown backend 'vlm'"),
        ({"attach": ["vllm=localhost:8000"]}, "--attach: 'localhost:8000' is not a URL"),
        ({"attach": ["vllm=http://[::1"]}, "--attach: 'http://[::1' is not a URL"),
        ({"base_url": "http://host:port/v1"}, "--base-url: 'http://host:port/v1' is not a URL"),
        ({"attach": ["vllm=http://a", "vllm=http://b"]}, "--attach: vllm is given twice"),
        ({"curve": "one-pass"}, "--curve: 'one-pass' is not known; did you mean 'single-pass'?"),
        ({"base_url": "http://x/v1", "backend": "vllm"}, "base_url goes with the backend openai, not vllm"),
        ({"backend": "openai"}, "the backend openai needs --base-url URL"),
        ({"tpp": "1"}, "--tpp: unknown key; did you mean 'tp'?"),
    ],
)
def test_a_flag_that_cannot_be_used_is_one_line_with_its_name(given: dict[str, Any], message: str | None) -> None:
    if message is None:
        assert flags(**given)
        return
    with pytest.raises(UsageError) as caught:
        flags(**given)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_configuration_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="no configuration 'papr'; did you mean 'paper'"):
        load_experiment("papr")


@pytest.mark.parametrize("name", ["nowhere.toml", "."])
def test_a_configuration_that_cannot_be_read_is_one_line(name: str) -> None:
    with pytest.raises(UsageError, match=r"^cannot read the configuration [^\n]*$"):
        load_experiment(name)


def test_a_base_url_alone_means_the_backend_openai() -> None:
    experiment = flags(base_url="http://host/v1/", model="m")
    assert [str(engine) for engine in experiment.axes.backends] == ["openai"]
    assert experiment.axes.hosted.base_url == "http://host/v1"


def test_openai_base_url_of_the_environment_is_honoured() -> None:
    experiment = load_experiment(None, {"backend": "openai"}, environ={"OPENAI_BASE_URL": "http://e/v1"})
    assert experiment.axes.hosted.base_url == "http://e/v1"


def test_explicit_settings_take_what_they_do_not_state_from_the_top(tmp_path: Path) -> None:
    text = """
    model = "m"
    dtype = "float32"
    [[settings]]
    backend = "vllm"
    tp = 2
    engine_args = ["--x"]
    [[settings]]
    base_url = "https://host/v1"
    model = "hosted-m"
    api_key_env = "KEY"
    price_usd_per_million = { input = 1, cached = 0.1, output = 2 }
    requests_per_minute = 60
    max_concurrency = 4
    headers = { X-Title = "t" }
    """
    experiment = from_toml(tmp_path, text)
    first, second = experiment.explicit
    assert not experiment.product
    assert (first.models, first.dtypes, first.tensor_parallel) == (("m",), ("float32",), (2,))
    assert first.engine_args == {"vllm": (("--x",),)}
    assert (second.models, second.backends[0].backend) == (("hosted-m",), "openai")
    assert second.hosted.price == Price(input=1, output=2, cached=0.1)
    assert (second.hosted.api_key_env, second.hosted.headers) == ("KEY", (("X-Title", "t"),))
    assert (second.hosted.requests_per_minute, second.hosted.max_concurrency) == (60, 4)


def test_options_of_a_method_a_flag_leaves_out_are_no_error(tmp_path: Path) -> None:
    text = 'method = ["truncate", "vote"]\n[method_options.vote]\nrequests = "one"'
    (method,) = from_toml(tmp_path, text, method="truncate").methods
    assert (method.name, method.options) == ("truncate", ())


def test_every_flag_of_the_command_line_is_a_key() -> None:
    """What the parser stores for `run`, apart from the command and the file, goes to ``load_experiment`` as it is."""
    stored = vars(build_parser().parse_args(["run"]))
    assert set(stored) - {"command", "config"} <= set(TOP)


def test_every_key_is_told_in_the_documentation() -> None:
    told = (ROOT / "docs" / "configuration.md").read_text()
    assert [key for key in (*TOP, *SYNONYMS) if f"`{key}`" not in told] == []


@given(st.integers(1, 10**9))
def test_sizes_read_as_people_write_them(n: int) -> None:
    assert flags(budget=str(n)).budgets == (n,)
    assert flags(budget=f"{n}k").budgets == (n * 1024,)


def outcome(given: dict[str, Any]) -> str:
    """The message of the refusal, or nothing."""
    try:
        flags(**given)
    except UsageError as error:
        return str(error)
    return ""


UNKNOWN = st.text(min_size=1).filter(lambda key: key not in (*TOP, *SYNONYMS))


@given(st.dictionaries(UNKNOWN, st.one_of(st.text(), st.integers(), st.booleans()), min_size=1))
def test_an_unknown_key_is_always_refused(given: dict[str, Any]) -> None:
    assert "unknown key" in outcome(given)


VALUES = st.recursive(
    st.one_of(st.none(), st.text(), st.integers(), st.booleans(), st.floats(), st.sampled_from(["vllm", "1k", "a=b"])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(list(TOP)), inner)),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(list(TOP)), VALUES, min_size=1, max_size=4))
def test_any_value_of_a_known_key_is_read_or_refused_in_one_line(given: dict[str, Any]) -> None:
    assert "\n" not in outcome(given)


def test_home_is_meant_by_a_tilde_where_no_shell_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    text = 'model = "~/m"\ndataset = "~/d.jsonl"\nspec = "eagle:~/draft"\n[engine_python]\nvllm = "~/python"\n'
    experiment = from_toml(tmp_path, text)
    assert (experiment.axes.models, experiment.dataset) == (("/home/me/m",), "/home/me/d.jsonl")
    assert experiment.axes.speculations[0].model == "/home/me/draft"
    assert experiment.engine_python == {"vllm": "/home/me/python"}


@pytest.mark.parametrize("address", ["host:8000", "https://me:secret@host/v1"])
def test_an_address_from_the_environment_is_checked_as_a_stated_one_is(address: str) -> None:
    with pytest.raises(UsageError, match="OPENAI_BASE_URL: ") as caught:
        load_experiment(None, {"backend": "openai"}, environ={"OPENAI_BASE_URL": address})
    assert "secret" not in str(caught.value)
