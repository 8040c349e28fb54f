"""A result folder, read back: typed, streaming, and forgiving where a run was cut short.

A run that was killed leaves its growing files without their last lines, or with half of one. Such a torn
last line is left out and :attr:`RunFolder.torn` says so; a broken line anywhere else is an error.
"""

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NotRequired, TypedDict, TypeVar

import msgspec

from wsload.errors import FolderError
from wsload.profile.load import LoadedProfile, parse_profile
from wsload.record import layout
from wsload.record.histogram import Histogram
from wsload.record.layout import (
    SCHEMA_VERSION,
    ActionLine,
    CohortLine,
    HostLine,
    IntervalLine,
    KernelLine,
    RunInfo,
)
from wsload.record.outcome import Cause, Confidence, Phase, PlanAct, Wire
from wsload.record.snapshot import MergedCohort
from wsload.record.summary import Attribution, Summary

T = TypeVar("T")

INTERRUPTED = "interrupted"
"""The action that a run writes when a signal ended it early."""
PLATEAU = "plateau"
"""The action that a search for capacity writes when it has judged a level."""
FOUND = "capacity_found"
"""The action that a search writes when it is through; the run then drains."""
LOST = "worker_lost"
"""The action that a run writes when a driver worker is gone, or was given up."""
EXITS = {"haproxy_exited": "HAProxy", "backend_exited": "the backend"}
"""The actions that a run writes when a part of the system ended unasked; it drains at once."""


class DisconnectRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of ``disconnects.csv``; None where the cell is empty (nobody saw)."""

    t_s: float
    worker: int | None
    cohort: str
    tunnel: int | None
    local_ip: str
    local_port: int | None
    remote: str
    phase: Phase
    age_s: float | None
    idle_rx_s: float | None
    idle_tx_s: float | None
    wire: Wire
    close_code: int | None
    close_reason: str
    cause: Cause
    confidence: Confidence
    evidence: str
    plan: PlanAct = PlanAct.NOTHING
    termination: str = ""


class FailureRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of ``handshake-failures.csv``; None where the cell is empty."""

    t_s: float
    worker: int | None
    cohort: str
    tunnel: int | None
    local_ip: str
    local_port: int | None
    remote: str
    waited_s: float
    reason: str
    cause: str = ""
    confidence: str = ""
    evidence: str = ""


class LedgerRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of ``slot-ledger.csv`` (units and parts: LEDGER_COLUMNS)."""

    t_s: float
    phase: Phase
    live: int
    unaware: int
    half_closed: int
    opening: int
    ghosts: int
    half_open: int
    slots: int
    unexplained: int


class HaproxySample(TypedDict):
    """One row of ``haproxy-stats.csv``: one HAProxy process at one moment (units: HAPROXY_STATS_COLUMNS)."""

    t_s: float
    process: int
    pid: int
    version: str
    curr_conns: int
    slots: int
    maxconn: int
    queue: int
    conn_rate: float
    cum_conns: int
    pool_used_mb: float
    pool_alloc_mb: float
    idle_pct: float
    dropped_logs: int
    cpu_s: float
    rss_bytes: int
    pool_failed: NotRequired[int]
    """Not in the files of earlier versions."""


_TEXT_COLUMNS = {
    "cohort",
    "local_ip",
    "remote",
    "wire",
    "close_reason",
    "evidence",
    "plan",
    "termination",
    "cause",
    "reason",
    "confidence",
    "version",
    "phase",
}


class _Versioned(msgspec.Struct):
    v: int = 1


class RunFolder:
    """One run's folder. Files are read when asked for, each time anew; only small ones are kept.

    Raises:
        FolderError: there is no such folder, it holds no run, or a newer wsload wrote it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.torn = False
        """A last line was cut in the middle, as far as files have been read."""
        if not path.is_dir():
            raise FolderError(f"{path}: no such folder; name the folder that wsload run wrote")
        if not (path / layout.PLAN).is_file():
            if (path / layout.CAPACITY).is_file():
                raise FolderError(f"{path}: is a campaign's folder; name one of the runs in it")
            raise FolderError(
                f"{path}: holds no {layout.PLAN}, so no run; name the folder that wsload run wrote"
            )
        self.info = self._whole_file(layout.PLAN, RunInfo)
        self._check_version()

    def intervals(self) -> Iterator[IntervalLine]:
        """``snapshots.jsonl``, one line at a time."""
        return self._json_lines(layout.SNAPSHOTS, IntervalLine)

    def actions(self) -> list[ActionLine]:
        """``actions.jsonl``."""
        return list(self._json_lines(layout.ACTIONS, ActionLine))

    def iter_kernel(self) -> Iterator[KernelLine]:
        """``kernel.jsonl``, one line at a time; nothing in folders of earlier versions."""
        return self._json_lines(layout.KERNEL, KernelLine)

    def iter_host(self) -> Iterator[HostLine]:
        """``host.jsonl``, one line at a time; nothing in folders of earlier versions."""
        return self._json_lines(layout.HOST, HostLine)

    def iter_disconnects(self) -> Iterator[DisconnectRow]:
        """``disconnects.csv``, one row at a time."""
        return self._csv_rows(
            layout.DISCONNECTS, lambda row: msgspec.convert(row, DisconnectRow, strict=False)
        )

    def disconnects(self) -> list[DisconnectRow]:
        """``disconnects.csv``, whole."""
        return list(self.iter_disconnects())

    def iter_failures(self) -> Iterator[FailureRow]:
        """``handshake-failures.csv``, one row at a time; nothing where every tunnel opened."""
        return self._csv_rows(
            layout.HANDSHAKE_FAILURES, lambda row: msgspec.convert(row, FailureRow, strict=False)
        )

    def attribution(self) -> Attribution | None:
        """``attribution.json``; None where the run did not get as far."""
        if not (self.path / layout.ATTRIBUTION).is_file():
            return None
        return self._whole_file(layout.ATTRIBUTION, Attribution)

    def iter_haproxy_stats(self) -> Iterator[HaproxySample]:
        """``haproxy-stats.csv``, one row at a time; nothing where the run managed no HAProxy."""
        return self._csv_rows(
            layout.HAPROXY_STATS, lambda row: msgspec.convert(row, HaproxySample, strict=False)
        )

    def haproxy_stats(self) -> list[HaproxySample]:
        """``haproxy-stats.csv``, whole."""
        return list(self.iter_haproxy_stats())

    def iter_ledger(self) -> Iterator[LedgerRow]:
        """``slot-ledger.csv``, one row at a time; nothing where there was no HAProxy to sample."""
        return self._csv_rows(layout.LEDGER, lambda row: msgspec.convert(row, LedgerRow, strict=False))

    def environment(self) -> dict[str, Any]:
        """``environment.json``; empty where the run did not get as far."""
        if not (self.path / layout.ENVIRONMENT).is_file():
            return {}
        return self._whole_file(layout.ENVIRONMENT, dict[str, Any])

    def summary(self) -> Summary | None:
        """``summary.json``; None where the run did not get as far.

        Raises:
            FolderError: it cannot be read, or a newer wsload wrote it.
        """
        if not (self.path / layout.SUMMARY).is_file():
            return None
        found = self._whole_file(layout.SUMMARY, dict[str, Any]).get("schema", "")
        version = str(found).rpartition("/")[2]
        if version.isdigit() and int(version) > SCHEMA_VERSION:
            raise self._too_new(layout.SUMMARY, int(version))
        return self._whole_file(layout.SUMMARY, Summary)

    def hold_end_s(self) -> float:
        """When the hold ended, in seconds since the run's start: as planned, or when the run had to drain."""
        ended_s = [action.t_s for action in self.actions() if action.action in (INTERRUPTED, FOUND, *EXITS)]
        return min([self.info.ramp_s + self.info.hold_s, *ended_s])

    def ended_early(self, last_t_s: float) -> bool:
        """Whether the run was cut short, ``last_t_s`` being its last interval's end; read the files first."""
        interrupted = any(action.action == INTERRUPTED for action in self.actions())
        found_s = [action.t_s for action in self.actions() if action.action == FOUND]
        planned_s = min([self.info.ramp_s + self.info.hold_s, *found_s])
        return self.torn or interrupted or last_t_s < planned_s - 1.5 * self.info.interval_s

    def _check_version(self) -> None:
        for line in self._json_lines(layout.SNAPSHOTS, _Versioned):
            if line.v > SCHEMA_VERSION:
                raise self._too_new(layout.SNAPSHOTS, line.v)
            return

    def _too_new(self, name: str, version: int) -> FolderError:
        return FolderError(
            f"{self.path / name}: has version {version} of the format, this wsload reads up to "
            f"{SCHEMA_VERSION}; install the wsload that wrote it, or a later one"
        )

    def _whole_file(self, name: str, type_: type[T]) -> T:
        try:
            return msgspec.json.decode((self.path / name).read_bytes(), type=type_)
        except (OSError, msgspec.MsgspecError) as error:
            raise FolderError(
                f"{self.path / name}: cannot be read ({error}); copy the folder again"
            ) from error

    def _json_lines(self, name: str, type_: type[T]) -> Iterator[T]:
        """Each line decoded; a missing file has none."""
        decoder = msgspec.json.Decoder(type_)
        try:
            with (self.path / name).open("rb") as file:
                for number, line in enumerate(file, 1):
                    if not line.endswith(b"\n"):
                        self.torn = True
                        return
                    try:
                        yield decoder.decode(line)
                    except msgspec.MsgspecError as error:
                        raise self._broken(name, number, error) from error
        except FileNotFoundError:
            return

    def _csv_rows(self, name: str, typed: Callable[[dict[str, Any]], T]) -> Iterator[T]:
        """Each row typed by its header's names; a missing file has none, and a row cut short is left out."""
        path = self.path / name
        if not path.is_file():
            return
        whole = _ends_with_newline(path)
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            cells = next(reader, None)
            while cells is not None:
                following = next(reader, None)
                if following is None and not (whole and len(cells) == len(header)):
                    self.torn = True
                    return
                row = {
                    column: cell if cell or column in _TEXT_COLUMNS else None
                    for column, cell in zip(header, cells, strict=False)
                }
                try:
                    yield typed(row)
                except msgspec.MsgspecError as error:
                    raise self._broken(name, reader.line_num - (following is not None), error) from error
                cells = following

    def _broken(self, name: str, number: int, error: Exception) -> FolderError:
        return FolderError(
            f"{self.path / name}: line {number} cannot be read ({error}); delete that line to read the rest"
        )


Merged = dict[str, dict[Phase, MergedCohort]]
"""Cohort -> phase -> everything that happened, added up."""


def merged(folder: RunFolder) -> Merged:
    """All intervals of a run added up. Memory grows with cohorts and metrics, not with the run's length."""
    sums: Merged = {}
    for line in folder.intervals():
        add_interval(sums, line)
    return sums


def add_interval(sums: Merged, line: IntervalLine, timed: bool = True) -> None:
    """Add one interval to ``sums``, in place; where not ``timed``, its counters only."""
    for cohort, phases in line.cohorts.items():
        for phase, part in phases.items():
            _add(sums.setdefault(cohort, {}).setdefault(phase, MergedCohort()), part, timed)


def _add(total: MergedCohort, part: CohortLine, timed: bool) -> None:
    for name, count in part.counters.items():
        total.counters[name] = total.counters.get(name, 0) + count
    if not timed:
        return
    for name, encoded in part.histograms.items():
        total.histograms.setdefault(name, Histogram()).merge(Histogram.decode(encoded))
    for name, count in part.over_range.items():
        total.histograms.setdefault(name, Histogram()).over_range += count


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(0, 2)
        if file.tell() == 0:
            return True
        file.seek(-1, 2)
        return file.read(1) == b"\n"


def stored_profile(out: Path) -> LoadedProfile:
    """The profile that a run's folder holds, with the overrides it was run with.

    Raises:
        FolderError: It cannot be read.
        ProfileError: It cannot be used; this version may know other keys than the one that wrote it.
    """
    folder = RunFolder(out)
    try:
        text = (out / layout.PROFILE).read_text(encoding="utf-8")
    except OSError as error:
        raise FolderError(
            f"{out / layout.PROFILE}: cannot be read: {error.strerror}; copy the folder again"
        ) from error
    overrides = tuple(f"{key}={value}" for key, value in folder.info.settings.items())
    profile = parse_profile(text, str(out / layout.PROFILE), overrides)
    return LoadedProfile(profile=profile, text=text, overrides=overrides)
