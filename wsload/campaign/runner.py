"""Runs a campaign's cells, one by one or several at once; resumes what was cut, keeps ``capacity.csv``."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from wsload.analysis.capacity_file import CAPACITY_FACTS, CONTROL_FACTS, search_facts
from wsload.analysis.control import control_arms, control_facts
from wsload.analysis.folder import RunFolder
from wsload.campaign.batches import Batch, at_once, one_by_one
from wsload.campaign.grid import Campaign, Cell
from wsload.campaign.parallel import BatchListener, run_together
from wsload.errors import ExitCode, FolderError, InterruptedRunError, RecordingError, WsloadError
from wsload.plan.preflight import read_machine
from wsload.record import layout
from wsload.record.outcome import Validity
from wsload.record.summary import Summary
from wsload.run.folder import DEFAULT_BASE, FolderWriter, recording_error
from wsload.run.progress import ProgressListener
from wsload.run.session import RunResult, run
from wsload.units import NS_PER_S, format_duration

_OVERHEAD_S = 2.0
"""First guess of what a cell takes beyond its phases; measured from the first cell on."""

CellListener = Callable[[Cell, RunResult | WsloadError], None]


class Failure(msgspec.Struct, frozen=True):
    """A cell that gave no result."""

    cell: Cell
    error: str
    exit_code: ExitCode


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
    notes: tuple[str, ...] = ()
    """How cells were grouped, once for each time that the campaign was called."""


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
    on_progress: BatchListener | None = None,
    on_cell: CellListener | None = None,
    on_note: Callable[[str], None] | None = None,
) -> CampaignResult:
    """Run the cells that have no result yet in ``out``, see :func:`prepare_folder`.

    A cell that fails is noted and the rest still run; a signal ends the campaign with the cells it meets.
    ``on_note`` is told in a line which cells run at once, where the campaign asks for that. Raises
    FolderError for an ``out`` that cannot be used, RecordingError when nothing can be written any more.
    """
    out = prepare_folder(campaign, cells, out)
    left = [cell for cell in cells if finished(out / cell.folder) is None]
    batches = one_by_one(left)
    if campaign.parallel and left:
        batches, words = at_once(left, read_machine())
        _note(out, words)
        if on_note is not None:
            on_note(words)
    failures: list[Failure] = []
    clock = _BatchClock(batches, len(cells))
    interrupted = False
    write_capacity(out, cells)
    for number, batch in enumerate(batches):
        for cell in batch:
            set_aside(out / cell.folder)
        with clock.running(number):
            outcomes = await _run_batch(batch, out, clock.words(number), on_progress)
        for cell, outcome in zip(batch, outcomes, strict=True):
            if on_cell is not None:
                on_cell(cell, outcome)
            if isinstance(outcome, WsloadError):
                failures.append(Failure(cell, str(outcome), outcome.exit_code))
            interrupted |= _is_interruption(outcome)
        write_capacity(out, cells)
        if interrupted:
            break
    return CampaignResult(out, tuple(failures), _exit_code(out, cells, failures, interrupted=interrupted))


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
    has_control = any(cell.is_control for cell in cells)
    columns = [*axes, *CAPACITY_FACTS, *(CONTROL_FACTS if has_control else ())]
    rows = [_row(cell, finished(out / cell.folder), axes) for cell in cells if (out / cell.folder).exists()]
    writer = FolderWriter(out)
    writer.replace_rows(layout.CAPACITY, columns, rows)
    if has_control:
        sides = [side for arm in control_arms(out) for side in (arm.control, *arm.cells)]
        facts = {side.run: control_facts(side) for side in sides}
        rows = [row | facts.get(str(row["run"]), {}) for row in rows]
        writer.replace_rows(layout.CAPACITY, columns, rows)


def _row(cell: Cell, summary: Summary | None, axes: Sequence[str]) -> dict[str, object]:
    row: dict[str, object] = {axis: cell.values[axis] for axis in axes if axis in cell.values}
    if "repeat" in axes and not cell.is_control:
        row["repeat"] = cell.repeat
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


async def _run_batch(
    batch: Batch, out: Path, words: str, on_progress: BatchListener | None
) -> list[RunResult | WsloadError]:
    """What each cell came to. Raises RecordingError."""
    if len(batch) > 1:
        outcomes = await run_together(batch, out, words, on_progress)
    else:
        outcomes = [await _run_cell(batch[0], out / batch[0].folder, words, on_progress)]
    for cell, outcome in zip(batch, outcomes, strict=True):
        if isinstance(outcome, RecordingError):
            raise outcome
        if isinstance(outcome, WsloadError) and not isinstance(outcome, InterruptedRunError):
            _write_error(out / cell.folder, outcome)
    return outcomes


async def _run_cell(
    cell: Cell, folder: Path, words: str, on_progress: ProgressListener | None
) -> RunResult | WsloadError:
    try:
        return await run(cell.loaded, folder, on_progress, words)
    except WsloadError as error:
        return error


def _write_error(folder: Path, error: WsloadError) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as problem:
        raise recording_error(folder, problem) from error
    FolderWriter(folder).write(layout.ERROR, f"{error}\n")


def _is_interruption(outcome: RunResult | WsloadError) -> bool:
    if isinstance(outcome, WsloadError):
        return isinstance(outcome, InterruptedRunError)
    return outcome.exit_code is ExitCode.INTERRUPTED


def _note(out: Path, words: str) -> None:
    identity = msgspec.json.decode((out / layout.CAMPAIGN_JSON).read_bytes(), type=_Identity)
    identity.notes = (*identity.notes, words)
    FolderWriter(out).write_json(layout.CAMPAIGN_JSON, identity)


def _exit_code(
    out: Path, cells: Sequence[Cell], failures: Sequence[Failure], *, interrupted: bool
) -> ExitCode:
    """Where every cell failed for a like reason, such as a HAProxy that is missing: what a run would say."""
    if interrupted:
        return ExitCode.INTERRUPTED
    codes = {failure.exit_code for failure in failures}
    if len(failures) == len(cells) and len(codes) == 1:
        return codes.pop()
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


class _BatchClock:
    """Tells how long the rest of the campaign will take."""

    def __init__(self, batches: Sequence[Batch], cells: int) -> None:
        """``cells`` are the campaign's, finished ones too."""
        self._batches, self._cells = batches, cells
        self._overhead_s = _OVERHEAD_S

    @contextlib.contextmanager
    def running(self, number: int) -> Iterator[None]:
        """Measures a batch; a cell may also be shorter than planned."""
        began_s = time.monotonic()
        yield
        taken_s = time.monotonic() - began_s
        self._overhead_s = max(taken_s - _phases_s(self._batches[number]), 0.0)

    def words(self, number: int) -> str:
        """``cell 3 of 8, haproxy.timeouts.tunnel=5s, about 1m20s left``, ``cells 1-6 of 6 at once, ...``."""
        left_s = sum(_phases_s(batch) + self._overhead_s for batch in self._batches[number:])
        about = f"about {format_duration(round(left_s) * NS_PER_S)} left"
        batch = self._batches[number]
        if len(batch) > 1:
            return f"cells {_ranges([cell.index + 1 for cell in batch])} of {self._cells} at once, {about}"
        values = [f"{key}={value}" for key, value in batch[0].values.items()]
        what = " ".join((["without HAProxy"] if batch[0].is_control else []) + values)
        return f"cell {batch[0].index + 1} of {self._cells}, {what}, {about}"


def _ranges(numbers: Sequence[int]) -> str:
    """Ascending numbers as people write them: ``1-3, 5``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _phases_s(batch: Batch) -> float:
    """Of the longest cell."""
    loads = [cell.loaded.profile.load for cell in batch]
    return max(load.ramp_ns + load.hold_ns + load.drain_ns for load in loads) / NS_PER_S
