"""``tts-compare selftest``: the truth that was served beside what was measured."""

from __future__ import annotations

import asyncio
from argparse import Namespace

from tts_compare.cli.terminal import console, talk


def selftest_command(_arguments: Namespace) -> int:
    """Play every case; 1 where one of them was measured wrongly."""
    from rich.table import Table

    from tts_compare.selftest import run_cases

    results = asyncio.run(run_cases())
    table = Table("case", "truth", "measured", "")
    for result in results:
        table.add_row(result.case, result.truth, result.measured, "pass" if result.passed else "FAIL")
    console().print(table)
    failed = sum(not result.passed for result in results)
    talk(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0
