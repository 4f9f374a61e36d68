"""Everything a run writes while it goes on, through one value: rows, the manifest, and what is told to a viewer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from time import monotonic
from typing import Any

from tts_compare import store
from tts_compare.domain import Doubt, RequestRecord, Timeline
from tts_compare.methods import METHODS
from tts_compare.reports.progress import Doubted, Emit


@dataclass(slots=True)
class Journal:
    """The open files of one run.

    records: every row so far, light: a long run could not hold texts and timelines in memory. session: which process of
    a resumed run this is, counted from 0.
    """

    run: store.RunDir
    manifest: dict[str, Any]
    rows: store.RowLog
    tell: Emit
    private: bool = False
    session: int = 0
    records: list[RequestRecord] = field(default_factory=list)

    def append(self, rows: tuple[RequestRecord, ...]) -> None:
        """Keep the rows of one attempt: on disk before anything else."""
        self.rows.append(rows)
        self.records.extend(light(row) for row in rows)

    def doubt(self, doubts: Iterable[Doubt]) -> None:
        """Keep doubts, each once."""
        known: list[dict[str, Any]] = self.manifest["doubts"]
        for doubt in doubts:
            row = asdict(doubt)
            if row not in known:
                known.append(row)
                self.tell(Doubted(doubt=doubt, at_s=monotonic()))

    def keep_metrics(self, setting: str, row: Mapping[str, Any]) -> None:
        """Keep what a server's own samples were around a point, beside its log."""
        path = self.run.server_metrics(setting)
        store.write_json(path, [*store.read_list(path), dict(row)], private=self.private)

    def save(self) -> None:
        """Put the manifest on disk as it is now."""
        store.write_json(self.run.manifest, self.manifest, private=self.private)


def light(row: RequestRecord) -> RequestRecord:
    """A row as a run needs it to go on, about 1 KB: with its text only where later calls of its method depend on it."""
    if row.method in METHODS and not METHODS[row.method].reads_text:
        return replace(row, timeline=Timeline(), text="", reasoning="", token_ids=None)
    return replace(row, timeline=Timeline())
