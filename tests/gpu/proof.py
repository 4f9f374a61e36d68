"""The table at the end, ``gpu-proof.json``, and what the documentation shows of such files."""

from __future__ import annotations

import json
import os
import platform
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.gpu.claims import CLAIMS, Evidence, judged

FORMAT = 1
_SECRET = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD)$")


def proof_of(evidence: Mapping[str, Evidence]) -> dict[str, Any]:
    """What was found, for a file that may be published: no host name, no user's path, no key."""
    machine = evidence.get("nvml", {})
    rows = []
    for claim in CLAIMS:
        verdict, detail = judged(claim, evidence)
        rows.append({"id": claim.id, "claim": claim.says, "verdict": verdict, "detail": published(detail)})
    return {
        "format": FORMAT,
        "tts_compare_version": version("tts-compare"),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "gpus": [gpu["name"] for gpu in machine.get("gpus", ())],
        "driver": machine.get("driver"),
        "parts": {part: round(float(found.get("took_s", 0.0)), 1) for part, found in evidence.items()},
        "claims": rows,
    }


def published(text: str, environ: Mapping[str, str] | None = None) -> str:
    """A text without the host's name, paths and the values of variables that hold keys."""
    known = os.environ if environ is None else environ
    for name, value in known.items():
        if _SECRET.search(name) and value:
            text = text.replace(value, "KEY")
    host = platform.node()
    text = re.sub(rf"(?<![\w-]){re.escape(host)}(?![\w-])", "HOST", text) if host else text
    return re.sub(r"(?<![\w.])(/[\w.+@=-]+){2,}/?", "PATH", text)


def table(proof: Mapping[str, Any]) -> str:
    """The lines that end ``make test-gpu``."""
    rows = proof["claims"]
    width = max(len(row["claim"]) for row in rows)
    lines = [f"{row['verdict']:<17}  {row['claim']:<{width}}  {row['detail']}" for row in rows]
    return "\n".join([*lines, "", told(rows)])


def told(rows: Iterable[Mapping[str, Any]]) -> str:
    """How many claims have each verdict."""
    counts = Counter(row["verdict"] for row in rows)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in ("proven", "failed", "not possible here"))


def claims_table() -> str:
    """The claims, for docs/development.md."""
    rows = "".join(f"| {claim.says} | {claim.part} |\n" for claim in CLAIMS)
    return f"| claim | part |\n|---|---|\n{rows}"


def proofs_table(directory: Path) -> str:
    """The machines that have proven something, for the README: one row a file of the directory."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(directory.glob("*.json"))]
    rows = [
        f"| {', '.join(f'{n} x {gpu}' for gpu, n in Counter(one['gpus']).items())} | {one['driver']} "
        f"| {one['tts_compare_version']} | {one['date']} | {told(one['claims'])} |\n"
        for one in found
    ]
    head = "| machine | driver | version | date | claims |\n|---|---|---|---|---|\n"
    return head + ("".join(rows) or "| none yet | | | | |\n")
