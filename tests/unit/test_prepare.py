"""What is known before a server starts: models, and how long it may take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.standin import model_directory
from tts_compare.config import load_experiment
from tts_compare.errors import UsageError
from tts_compare.plan.prepare import Prepared, prepare

URL = "http://127.0.0.1:9/v1"


def prepared(home: Path, **given: Any) -> Prepared:
    stated = {"backend": "vllm", "model": str(model_directory(home)), "dataset": "quickstart", "budget": "8"}
    return prepare(load_experiment(None, stated | given, environ={}), fetch=False)


@pytest.mark.parametrize("backend", ["vllm,openai", "openai,vllm"])
def test_a_model_is_known_though_a_hosted_setting_has_the_same_name(backend: str, tmp_path: Path) -> None:
    alone = prepared(tmp_path).facts
    assert None not in alone.values()
    assert prepared(tmp_path, backend=backend, base_url=URL).facts == alone


def test_a_path_on_the_machine_of_an_attached_server_names_its_model(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no model at /models/m"):
        prepared(tmp_path, model="/models/m")
    (setting,) = prepared(tmp_path, model="/models/m", attach=["vllm=http://127.0.0.1:9"]).settings
    assert setting.model == "/models/m"


def test_a_draft_that_the_ranks_do_not_divide_is_refused_with_its_heads(tmp_path: Path) -> None:
    draft = tmp_path / "draft"
    draft.mkdir()
    (draft / "config.json").write_text('{"num_hidden_layers": 1, "num_attention_heads": 3, "hidden_size": 48}')
    made = prepared(tmp_path, spec=f"none,eagle-3:{draft}", tp="2")
    (refused,) = (item for item in made.left_out if item.setting.speculation.kind == "eagle")
    assert refused.reason == "tensor parallel 2 does not divide the draft model's 3 attention heads"
    assert all("draft" not in item.reason for item in made.left_out if item.setting.speculation.kind == "none")
