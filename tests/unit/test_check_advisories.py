"""What `make audit` says: nobody's answer is never taken for a good one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = {"name": "tts-compare", "skip_reason": "distribution marked as editable"}
SOUND = {"name": "httpx", "version": "0.28.1", "vulns": []}
WEAK = {"name": "jinja2", "version": "2.4.1", "vulns": [{"id": "PYSEC-2019-217", "fix_versions": ["2.10.1"]}]}
UNKNOWN = {"name": "msgspec", "skip_reason": "Dependency not found on PyPI and could not be audited: msgspec (0.22.0)"}


def audited(home: Path, report: list[dict[str, Any]] | None, *, status: int) -> subprocess.CompletedProcess[str]:
    """The script with a stand-in for pip-audit that writes this report, or complains, and ends with this status."""
    lines = ["import sys, pathlib", "out = pathlib.Path(sys.argv[sys.argv.index('--output') + 1])"]
    lines += [
        "sys.stderr.write('no route')"
        if report is None
        else f"out.write_text({json.dumps({'dependencies': report})!r})",
        f"sys.exit({status})",
    ]
    stand_in = home / "pip_audit.py"
    stand_in.write_text("\n".join(lines))
    command = [sys.executable, str(ROOT / "tests" / "check_advisories.py"), sys.executable, str(stand_in)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("report", "own_status", "status", "words"),
    [
        ([OURS, SOUND], 0, 0, "none known in 1 packages"),
        ([OURS, SOUND, WEAK], 1, 1, "jinja2 2.4.1: PYSEC-2019-217, mended in 2.10.1"),
        ([OURS, WEAK, UNKNOWN], 1, 1, "1 could not be checked"),
        ([OURS, SOUND, UNKNOWN], 0, 3, "not checked: msgspec"),
        ([OURS, UNKNOWN], 0, 3, "not checked: the source of advisories knows none of the 1 packages"),
        (None, 1, 3, "not checked: pip-audit made no report: no route"),
        (None, 0, 3, "not checked: pip-audit made no report"),
    ],
)
def test_it_says_what_was_found_or_that_nobody_was_asked(
    report: list[dict[str, Any]] | None, own_status: int, status: int, words: str, tmp_path: Path
) -> None:
    done = audited(tmp_path, report, status=own_status)
    assert words in done.stdout
    assert done.returncode == status


def test_what_names_this_machine_or_its_index_cannot_be_committed_by_chance() -> None:
    ignored = (ROOT / ".gitignore").read_text().split()
    makefile = (ROOT / "Makefile").read_text()
    for made in ("pylock.toml", "sbom.json"):
        assert made in makefile
        assert made in ignored
