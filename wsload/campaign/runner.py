"""Runs a campaign's cells one after the other, resumes where it was cut, and keeps ``capacity.csv``."""

import csv
import io
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from wsload.analysis.campaign import CAPACITY_FACTS, search_facts
from wsload.analysis.folder import RunFolder
from wsload.campaign.grid import Campaign, Cell
from wsload.errors import ExitCode, FolderError, InterruptedRunError, RecordingError, WsloadError
from wsload.record import layout
from wsload.record.layout import Summary
from wsload.record.outcome import Validity
from wsload.run.folder import DEFAULT_BASE, FolderWriter, recording_error
from wsload.run.progress import ProgressListener
from wsload.run.session import RunResult, run
from wsload.units import NS_PER_S, format_duration

_OVERHEAD_S = 2.0
"""First guess of what a cell takes beyond its phases; measured from the first cell on."""

_ERROR = "error.txt"
"""In a cell's folder: why it has no result."""

CellListener = Callable[[Cell, RunResult | WsloadError], None]


class Failure(msgspec.Struct, frozen=True):
    """A cell that gave no result."""

    cell: Cell
    error: str


class CampaignResult(msgspec.Struct, frozen=True):
    """What a campaign came to. A broken SLO in a cell is a finding, not a failure of the campaign."""

    folder: Path
    failures: tuple[Failure, ...]
    exit_code: ExitCode


class _Identity(msgspec.Struct):
    """``campaign.json``: what tells whether a folder belongs to the campaign that is asked for."""

    title: str
    started: str
    overrides: tuple[str, ...]
    cells: int


def unfinished_folder(campaign: Campaign, cells: Sequence[Cell], base: Path = DEFAULT_BASE) -> Path | None:
    """The latest folder below ``base`` of this very campaign that lacks a cell; None if there is none."""
    for file in sorted(base.glob(f"*/{layout.CAMPAIGN}"), reverse=True):
        folder = file.parent
        if _belongs(folder, campaign) and any(finished(folder / cell.folder) is None for cell in cells):
            return folder
    return None


def prepare_folder(campaign: Campaign, cells: Sequence[Cell], out: Path | None = None) -> Path:
    """Make the campaign's folder, or check that ``out`` is one of this campaign; returns it.

    Without ``out``: the latest unfinished one of this campaign below ``results``, else a new one there.
    Raises FolderError.
    """
    if out is None:
        out = unfinished_folder(campaign, cells)
    if out is not None and (out / layout.CAMPAIGN).is_file():
        if not _belongs(out, campaign):
            raise FolderError(
                f"{out}: holds another campaign, or this one with other settings; give another --out"
            )
        return out
    now = datetime.now(UTC)
    writer = FolderWriter.create_default(campaign.title, now) if out is None else FolderWriter.create(out)
    writer.write(layout.PROFILE, campaign.profile_text)
    identity = _Identity(campaign.title, f"{now:%Y-%m-%dT%H:%M:%SZ}", campaign.overrides, len(cells))
    writer.write_json(layout.CAMPAIGN_JSON, identity)
    writer.write(layout.CAMPAIGN, campaign.text)
    return writer.path


async def run_campaign(
    campaign: Campaign,
    cells: Sequence[Cell],
    out: Path | None,
    on_progress: ProgressListener | None = None,
    on_cell: CellListener | None = None,
) -> CampaignResult:
    """Run the cells that have no result yet in ``out``, see :func:`prepare_folder`.

    A cell that fails is noted and the rest still run; a signal ends the campaign with the cell it meets.
    Raises FolderError for an ``out`` that cannot be used, RecordingError when nothing can be written any
    more.
    """
    out = prepare_folder(campaign, cells, out)
    failures: list[Failure] = []
    clock = _CellClock(cells)
    interrupted = False
    for cell in cells:
        folder = out / cell.folder
        if finished(folder) is None:
            set_aside(folder)
            clock.begin(cell)
            outcome = await _run_cell(cell, folder, clock.words(cell, out), on_progress)
            clock.end()
            if on_cell is not None:
                on_cell(cell, outcome)
            if isinstance(outcome, WsloadError):
                failures.append(Failure(cell, str(outcome)))
                interrupted = isinstance(outcome, InterruptedRunError)
            else:
                interrupted = outcome.exit_code is ExitCode.INTERRUPTED
        write_capacity(out, cells)
        if interrupted:
            break
    return CampaignResult(out, tuple(failures), _exit_code(out, cells, interrupted=interrupted))


def finished(folder: Path) -> Summary | None:
    """A cell's summary, if it ran to its end."""
    if not (folder / layout.SUMMARY).is_file():
        return None
    summary = RunFolder(folder).summary()
    return None if summary is None or summary.partial else summary


def set_aside(folder: Path) -> None:
    """Rename what a cut run left, so that the cell can run again and nothing recorded is lost."""
    if folder.exists():
        names = (folder.with_name(f"{folder.name}.cut-{number}") for number in range(1, 10_000))
        folder.rename(next(name for name in names if not name.exists()))


def write_capacity(out: Path, cells: Sequence[Cell]) -> None:
    """``capacity.csv``: a row for each cell that has run, also for one without a result."""
    axes = list(cells[0].values) + (["repeat"] if any(cell.repeat > 1 for cell in cells) else [])
    text = io.StringIO()
    writer = csv.DictWriter(text, [*axes, *CAPACITY_FACTS], restval="", lineterminator="\n")
    writer.writeheader()
    for cell in cells:
        if (out / cell.folder).exists():
            writer.writerow(_row(cell, finished(out / cell.folder), axes))
    FolderWriter(out).write(layout.CAPACITY, text.getvalue())


def _row(cell: Cell, summary: Summary | None, axes: Sequence[str]) -> dict[str, object]:
    row: dict[str, object] = {axis: cell.values.get(axis, cell.repeat) for axis in axes}
    row |= {"planned": cell.loaded.profile.load.tunnels, "run": cell.folder}
    if summary is None:
        return row | {"validity": Validity.INVALID}
    tunnels = summary.tunnels
    return row | {
        "opened": tunnels.opened,
        "held": tunnels.held,
        "held_share": round(tunnels.held / tunnels.planned, 6),
        "disconnect_unexpected": sum(summary.counters.get("disconnect_unexpected", {}).values()),
        "peak_slots": summary.haproxy.get("peak_slots", 0),
        "slo": summary.verdict.slo,
        "validity": summary.verdict.validity,
        **search_facts(summary.capacity),
    }


async def _run_cell(
    cell: Cell, folder: Path, words: str, on_progress: ProgressListener | None
) -> RunResult | WsloadError:
    try:
        return await run(cell.loaded, folder, on_progress, words)
    except RecordingError:
        raise
    except InterruptedRunError as error:
        return error
    except WsloadError as error:
        try:
            folder.mkdir(exist_ok=True)
        except OSError as problem:
            raise recording_error(folder, problem) from error
        FolderWriter(folder).write(_ERROR, f"{error}\n")
        return error


def _exit_code(out: Path, cells: Sequence[Cell], *, interrupted: bool) -> ExitCode:
    if interrupted:
        return ExitCode.INTERRUPTED
    summaries = [finished(out / cell.folder) for cell in cells]
    doubtful = any(summary is None or summary.verdict.validity == Validity.INVALID for summary in summaries)
    return ExitCode.INVALID_RESULT if doubtful else ExitCode.PASSED


def _belongs(folder: Path, campaign: Campaign) -> bool:
    try:
        identity = msgspec.json.decode((folder / layout.CAMPAIGN_JSON).read_bytes(), type=_Identity)
        same_text = (folder / layout.CAMPAIGN).read_text(encoding="utf-8") == campaign.text
        same_profile = (folder / layout.PROFILE).read_text(encoding="utf-8") == campaign.profile_text
    except (OSError, msgspec.MsgspecError):
        return False
    return same_text and same_profile and identity.overrides == campaign.overrides


class _CellClock:
    """Tells how long the rest of the campaign will take."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self._cells = cells
        self._overhead_s = _OVERHEAD_S
        self._began_s = self._planned_s = 0.0

    def begin(self, cell: Cell) -> None:
        """A cell starts."""
        self._began_s, self._planned_s = time.monotonic(), _phases_s(cell)

    def end(self) -> None:
        """It has ended; a cell may also be shorter than planned."""
        self._overhead_s = max(time.monotonic() - self._began_s - self._planned_s, 0.0)

    def words(self, cell: Cell, out: Path) -> str:
        """``cell 3 of 8, haproxy.timeouts.tunnel=5s, 1m20s left``."""
        left = [other for other in self._cells[cell.index :] if finished(out / other.folder) is None]
        left_s = sum(_phases_s(other) + self._overhead_s for other in left)
        values = " ".join(f"{key}={value}" for key, value in cell.values.items())
        about = format_duration(round(left_s) * NS_PER_S)
        return f"cell {cell.index + 1} of {len(self._cells)}, {values}, about {about} left"


def _phases_s(cell: Cell) -> float:
    load = cell.loaded.profile.load
    return (load.ramp_ns + load.hold_ns + load.drain_ns) / NS_PER_S
