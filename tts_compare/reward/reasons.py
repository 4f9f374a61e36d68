"""Which failure ends the scoring of a whole run, and the line that says what to try. Pure."""

from __future__ import annotations

from tts_compare.domain import RequestError

_UNREACHED = ("connect", "timeout_connect")


def hopeless(error: RequestError, root: str, *, path: str, key_env: str = "") -> str | None:
    """One line where asking again cannot help whatever the response is; None where it may be this response alone."""
    if error.kind in _UNREACHED:
        return f"scores: nothing answers at {root} ({error.message}): check the address and that the reward model runs"
    if error.status in (401, 403):
        advice = f"set {key_env} to the right one" if key_env else "name its variable in scores_api_key_env"
        return (
            f"scores: {root}{path} answers {error.status}: the key is {'refused' if key_env else 'missing'}; {advice}"
        )
    if error.status is not None and (error.status in (404, 405, 501) or 300 <= error.status < 400):
        return f"scores: {root}{path} answers {error.status} ({error.message}): {_other_form()}"
    return None


def every_one(error: RequestError, root: str, *, path: str) -> str:
    """One line for a failure that all responses met, or the first question."""
    what = f"answers {error.status}" if error.status not in (None, 200) else "gives no answer that can be used"
    return f"scores: {root}{path} {what} ({error.message}): {_other_form()}"


def _other_form() -> str:
    return "see the server's log, or try another scores_api (pooling, classify, score, sglang)"
