"""Runs several cells at once in one HAProxy process: a batch takes as long as its longest cell."""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from wsload.campaign.grid import Cell
from wsload.errors import WsloadError
from wsload.report.live import BatchProgress, Progress
from wsload.run.scheduling import giving_way
from wsload.run.session import RunResult, finish, measure
from wsload.run.shared import SharedHaproxy, sharing_haproxy
from wsload.run.signals import Signals, taking_signals

_REDRAW_S = 0.25

BatchListener = Callable[[Progress | BatchProgress], None]


class _Board:
    """Gathers what each cell says of itself, and passes it on now and then."""

    def __init__(self, cells: Sequence[Cell], words: str, on_progress: BatchListener) -> None:
        self._title, self._words, self._on_progress = cells[0].loaded.profile.title, words, on_progress
        self._order = [cell.folder for cell in cells]
        self._cells: dict[str, Progress] = {}
        self._shown_s = 0.0

    def of(self, cell: str) -> Callable[[Progress], None]:
        """What a cell calls with its state."""

        def update(progress: Progress) -> None:
            self._cells[cell] = progress
            if time.monotonic() - self._shown_s >= _REDRAW_S:
                self._shown_s = time.monotonic()
                cells = {name: self._cells[name] for name in self._order if name in self._cells}
                self._on_progress(BatchProgress(title=self._title, words=self._words, cells=cells))

        return update


async def run_together(
    cells: Sequence[Cell], out: Path, words: str, on_progress: BatchListener | None
) -> list[RunResult | WsloadError]:
    """What each cell came to, in their order; one that fails does not take the others with it.

    The first signal drains all, the second stops all. Verdicts are made once nothing is measured any more,
    as they would take the CPU from it.
    """
    board = None if on_progress is None else _Board(cells, words, on_progress)
    with taking_signals() as signals, giving_way():
        async with sharing_haproxy([cell.folder for cell in cells if not cell.is_control]) as shared:
            measured = await asyncio.gather(
                *(_measured(cell, cells, out, shared, signals, board) for cell in cells),
                return_exceptions=True,
            )
    for each in measured:
        if isinstance(each, BaseException) and not isinstance(each, WsloadError):
            raise each
    return [
        _finished(folder, cell) if isinstance(folder, Path) else folder
        for cell, folder in zip(cells, measured, strict=True)
        if isinstance(folder, Path | WsloadError)
    ]


async def _measured(
    cell: Cell,
    cells: Sequence[Cell],
    out: Path,
    shared: SharedHaproxy,
    signals: Signals,
    board: _Board | None,
) -> Path:
    on_progress = None if board is None else board.of(cell.folder)
    beside = [other.folder for other in cells if other is not cell]
    haproxy = None if cell.is_control else shared
    try:
        folder = out / cell.folder
        return await measure(cell.loaded, folder, signals, on_progress, shared=haproxy, beside=beside)
    finally:
        shared.will_not_come(cell.folder)


def _finished(folder: Path, cell: Cell) -> RunResult | WsloadError:
    try:
        return finish(folder, cell.loaded)
    except WsloadError as error:
        return error
