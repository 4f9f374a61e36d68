"""What a report is given besides the analysis, and what it is told about the page it writes to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from tts_compare.domain import Problem, RequestRecord
from tts_compare.rundir.manifest import Manifest

if TYPE_CHECKING:
    import polars as pl

    from tts_compare.analysis.schema import Analysis


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The page a report is written to: columns of a terminal, whether it shows colour and box characters.

    full: every table and plot, where the terminal's report otherwise answers first. claims: the paper's claims too.
    """

    width: int = 100
    colour: bool = False
    unicode: bool = True
    full: bool = False
    claims: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """A setting that was skipped before its start, or whose server did not start or died for good."""

    setting: str
    reason: str
    log: str = ""
    advice: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """One run, or several shown as one, as far as reports look at it.

    records, grades: the frames the analysis read (``record_schema``, ``grade_schema``); only the page needs them, for
    its distributions and its table of responses. problems: those of the manifest where none are given.
    read_responses: goes through the rows with their texts; called at most once a report, and only by reports that
    show responses or single requests. paths: the directories, as they were typed. names: labels to use in place of
    ours, by setting id or a part of one.
    """

    manifest: Manifest = field(default_factory=Manifest)
    name: str = ""
    records: pl.DataFrame | None = None
    grades: pl.DataFrame | None = None
    problems: tuple[Problem, ...] = ()
    read_responses: Callable[[], Iterable[RequestRecord]] = tuple
    paths: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def left_out(self) -> tuple[Absent, ...]:
        """The manifest's ``left_out``: settings that cannot run here, with the reason of each."""
        return tuple(Absent(setting=one.setting, reason=one.reason) for one in self.manifest.left_out)

    @property
    def failed_servers(self) -> tuple[Absent, ...]:
        """The manifest's ``failed``: settings whose server should have started and did not."""
        return tuple(
            Absent(setting=one.setting, reason=one.cause, log=one.log, advice=one.advice)
            for one in self.manifest.failed
        )

    @property
    def on_cpu(self) -> bool:
        """True where every setting of the run is on a CPU: devices are then ranks, and costs device-seconds."""
        return {one.device for one in self.manifest.settings.values()} == {"cpu"}


class Report(Protocol):
    """Analysis and run -> one document."""

    @property
    def suffix(self) -> str:
        """Of a file that holds it, with the dot."""
        ...

    def render(self, analysis: Analysis, run: RunView, *, look: Look) -> str | bytes:
        """The document; text ends with a newline."""
        ...
