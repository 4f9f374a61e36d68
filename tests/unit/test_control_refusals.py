"""Which refusals of a request are refusals of its control of thinking, in the words that endpoints use."""

from __future__ import annotations

import pytest

from tts_compare.domain import ErrorKind, RequestError
from tts_compare.measure.refusal import RefusedError, check_control

VLLM = (
    "thinking_token_budget is set but reasoning_config is not configured. Please set --reasoning-parser and/or "
    "--reasoning-config to use thinking_token_budget."
)
SGLANG = (
    "The server is not configured to enable custom logit processor. Please set `--enable-custom-logit-processor` to "
    "enable this feature."
)


@pytest.mark.parametrize(
    ("kind", "message", "fields"),
    [
        ("in_band", VLLM, {"thinking_token_budget": 5}),
        ("http_4xx", SGLANG, {"custom_logit_processor": "x", "custom_params": {}}),
        ("http_4xx", "Unsupported value: 'reasoning_effort' does not support 'minimal'", {"reasoning_effort": "x"}),
        ("http_4xx", "Unknown parameter: 'thinking'.", {"thinking": {"type": "enabled"}}),
        ("http_4xx", "thinking.budget_tokens: must be at least 1024", {"thinking": {"budget_tokens": 5}}),
    ],
)
def test_a_refusal_that_names_the_control_ends_the_setting(
    kind: ErrorKind, message: str, fields: dict[str, object]
) -> None:
    with pytest.raises(RefusedError, match="is refused"):
        check_control(RequestError(kind=kind, status=400, message=message), fields)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "`temperature` may only be set to 1 when thinking is enabled"),
        (400, "max_tokens is too large"),
        (500, "thinking_token_budget broke the engine"),
    ],
)
def test_other_refusals_are_left_to_whom_they_concern(status: int, message: str) -> None:
    fields = {"thinking": {"type": "enabled"}, "thinking_token_budget": 5}
    check_control(RequestError(kind="http_4xx", status=status, message=message), fields)
    check_control(None, fields)
