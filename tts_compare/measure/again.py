"""What is said of a run that is resumed: models it did not have, failures that were sent again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from tts_compare.codes import warn
from tts_compare.domain import RequestRecord, RowKey, RunWarning, Setting
from tts_compare.domain.ending import ending
from tts_compare.rundir.manifest import Manifest


def resume_warnings(old: Manifest, settings: Iterable[Setting]) -> Iterator[RunWarning]:
    """A warning where settings of another model are added. old: the manifest before the run was resumed."""
    known = {facts.model for facts in old.settings.values()}
    added = sorted({setting.model for setting in settings} - known)
    if added:
        message = f"the run was resumed with {', '.join(added)}: it holds settings of {', '.join(sorted(known))} too"
        yield warn("resumed_other_model", message)


def retried_warnings(rows: Iterable[RequestRecord], *, session: int, hosted: Collection[str]) -> Iterator[RunWarning]:
    """How many requests that had failed before this session were sent again in it, a setting, and what became of them.

    rows: all of the run, in the order in which they were written. hosted: settings whose server is not ours.
    """
    failed: set[RowKey] = set()
    again: dict[str, dict[RowKey, bool]] = {}
    for row in rows:
        if row.phase != "measured":
            continue
        call = replace(row.key, attempt=0)
        if row.session < session:
            how = ending(row.error, row.finish_reason, hosted=row.setting in hosted)
            (failed.add if how == "failed" else failed.discard)(call)
        elif row.session == session and call in failed:
            mine = again.setdefault(row.setting, {})
            mine[call] = mine.get(call, False) or row.ok
    for setting, calls in sorted(again.items()):
        message = (
            f"session {session + 1} sent {len(calls)} failed requests again, of which {sum(calls.values())} were "
            "answered: the failed attempts stay in the time and the cost"
        )
        yield warn("retried_failed", message, setting=setting)
