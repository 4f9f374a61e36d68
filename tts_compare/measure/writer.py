"""Everything a run writes while it goes on, through one value: rows, the manifest, and what is told to a viewer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any

from msgspec import structs

from tts_compare.domain import RequestRecord, RunWarning, Timeline, base_method
from tts_compare.domain.events import Emit, Warned
from tts_compare.methods import METHODS, method_named
from tts_compare.rundir import store
from tts_compare.rundir.facts import Death, FailedSetting
from tts_compare.rundir.manifest import Manifest, State
from tts_compare.rundir.metrics import PointMetrics


@dataclass(slots=True)
class RunWriter:
    """The open files of one run.

    records: every row so far, light: a long run could not hold texts and timelines in memory. session: which process of
    a resumed run this is, counted from 0.
    """

    run: store.RunDir
    manifest: Manifest
    rows: store.RowLog
    tell: Emit
    private: bool = False
    session: int = 0
    records: list[RequestRecord] = field(default_factory=list)

    def append(self, rows: tuple[RequestRecord, ...]) -> None:
        """Keep the rows of one attempt: on disk before anything else."""
        self.rows.append(rows)
        self.records.extend(light(row) for row in rows)

    def warn(self, doubts: Iterable[RunWarning]) -> None:
        """Keep warnings, each once."""
        for warning in doubts:
            if warning not in self.manifest.doubts:
                self._put(doubts=(*self.manifest.doubts, warning))
                self.tell(Warned(warning=warning, at_s=monotonic()))

    def set_state(self, state: State) -> None:
        """Say how far the run is."""
        self._put(state=state)

    def set_setting(self, setting: str, **facts: object) -> None:
        """Keep what a setting's server or endpoint told: fields of ``SettingFacts``."""
        known = self.manifest.settings
        self._put(settings={**known, setting: structs.replace(known[setting], **facts)})

    def add_death(self, death: Death) -> None:
        """Keep that a server ended while requests were running."""
        self._put(deaths=(*self.manifest.deaths, death))

    def add_failed(self, failed: FailedSetting) -> None:
        """Keep that a setting has no server."""
        self._put(failed=(*self.manifest.failed, failed))

    def add_metrics(self, setting: str, row: PointMetrics) -> None:
        """Keep the counters of one stretch of requests."""
        known = self.manifest.server_metrics
        self._put(server_metrics={**known, setting: (*known.get(setting, ()), row)})

    def _put(self, **parts: object) -> None:
        self.manifest = structs.replace(self.manifest, **parts)

    def keep_metrics(self, setting: str, row: Mapping[str, Any]) -> None:
        """Keep what a server's own samples were around a point, beside its log."""
        path = self.run.server_metrics(setting)
        store.write_json(path, [*store.read_list(path), dict(row)], private=self.private)

    def save(self) -> None:
        """Put the manifest on disk as it is now."""
        store.write_manifest(self.run, self.manifest, private=self.private)


def light(row: RequestRecord) -> RequestRecord:
    """A row as a run needs it to go on, about 1 KB: with its text only where later calls of its method depend on it."""
    if base_method(row.method) in METHODS and not method_named(row.method).reads_text:
        return replace(row, timeline=Timeline(), text="", reasoning="", token_ids=None)
    return replace(row, timeline=Timeline())
