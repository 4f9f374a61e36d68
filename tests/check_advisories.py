"""Ask for known weaknesses of what is installed here, and say if nobody answered: run as a script by ``make audit``.

pip-audit ends with 1 both where it found something and where it reached nobody, and with 0 where its source knew none
of the packages, as behind a mirror that has no advisories. So its report is read, not its exit status.
"""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

OWN = "tts-compare"
FOUND, NOT_CHECKED = 1, 3


def verdict(dependencies: list[dict[str, Any]]) -> tuple[int, str]:
    """Exit status and words for the packages of a report: what was found, what could not be asked about, or neither."""
    others = [one for one in dependencies if one["name"] != OWN]
    skipped = [one["name"] for one in others if "skip_reason" in one]
    checked = len(others) - len(skipped)
    weak = [
        f"{one['name']} {one['version']}: {vuln['id']}, mended in {', '.join(vuln['fix_versions']) or 'no version yet'}"
        for one in others
        for vuln in one.get("vulns", ())
    ]
    if weak:
        unknown = f"; {len(skipped)} could not be checked" if skipped else ""
        return FOUND, "\n".join([f"{len(weak)} known weaknesses in {checked} packages{unknown}:", *weak])
    if not checked:
        return NOT_CHECKED, f"not checked: the source of advisories knows none of the {len(others)} packages"
    if skipped:
        return NOT_CHECKED, f"none known in {checked} packages; not checked: {', '.join(skipped)}"
    return 0, f"none known in {checked} packages"


def main() -> int:
    """Run the pip-audit that is named first, with the flags that follow, on the environment of this interpreter."""
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.json"
        command = [*sys.argv[1:], "--path", sysconfig.get_paths()["purelib"], "--skip-editable"]
        command += ["--progress-spinner", "off", "--format", "json", "--output", str(report)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if report.exists():
            status, words = verdict(json.loads(report.read_text(encoding="utf-8"))["dependencies"])
        else:
            last = (done.stderr.strip() or "it said nothing").splitlines()[-1][:200]
            status, words = NOT_CHECKED, f"not checked: pip-audit made no report: {last}"
    print(words)
    if status == NOT_CHECKED:
        print("another source: make audit AUDIT='--vulnerability-service osv'", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
