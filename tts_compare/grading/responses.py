"""``grade --responses``: any JSONL of ``{gold, response}`` rows, without a run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tts_compare.domain import Policy
from tts_compare.errors import UsageError
from tts_compare.grading.answer import Item
from tts_compare.grading.extract import Response
from tts_compare.grading.judgement import Grader, Judgement
from tts_compare.grading.kinds import ANSWER_KINDS
from tts_compare.grading.pool import GraderPool


def grade_file(
    path: Path,
    *,
    pool: GraderPool,
    kind: str = "math",
    policy: Policy = "any",
    grader: Grader = "layered",
    stop_at: str | None = None,
) -> Iterator[Judgement]:
    """One judgement a row, in order. Raises UsageError for a file or row that cannot be read, naming the line."""
    return pool.grade_many(file_items(path, kind=kind, policy=policy, stop_at=stop_at), grader=grader)


def file_items(path: Path, *, kind: str = "math", policy: Policy = "any", stop_at: str | None = None) -> Iterator[Item]:
    """The rows of a file as items: ``gold`` and ``response``, and if the row has them ``reasoning`` and ``kind``."""
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _item(_object(line, f"{path}:{number}"), f"{path}:{number}", kind, policy, stop_at)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}") from error


def _object(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where}: not a line of JSON; each line must be an object with gold and response") from error
    if not isinstance(row, dict):
        raise UsageError(f"{where}: not an object; each line must be one with gold and response")
    return row


def _item(row: dict[str, Any], where: str, kind: str, policy: Policy, stop_at: str | None) -> Item:
    gold, response, reasoning = row.get("gold"), row.get("response"), row.get("reasoning") or ""
    if isinstance(gold, int | float) and not isinstance(gold, bool):
        gold = str(gold)
    if not isinstance(gold, str) or not isinstance(response, str) or not isinstance(reasoning, str):
        raise UsageError(f"{where}: gold must be text or a number, and response text")
    own = row.get("kind", kind)
    if own not in ANSWER_KINDS:
        raise UsageError(f"{where}: unknown answer kind {own!r}; known: {', '.join(ANSWER_KINDS)}")
    found = Response(text=_clean(response), reasoning=_clean(reasoning))
    return Item(gold=_clean(gold), response=found, kind=own, policy=policy, stop_at=stop_at)


def _clean(text: str) -> str:
    """Without the half characters that JSON escapes can spell and nothing can write out again."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
