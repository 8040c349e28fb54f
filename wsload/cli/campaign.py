"""``wsload campaign``."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wsload.cli import options

if TYPE_CHECKING:
    from wsload.campaign.grid import Cell
    from wsload.campaign.runner import Failure
    from wsload.cli.live import LiveView
    from wsload.errors import WsloadError
    from wsload.run.session import RunResult


@click.command("campaign")
@click.argument("file")
@options.set_option
@options.out_option
@options.json_option
@options.quiet_option
@options.plots_option
def command(
    file: str, overrides: tuple[str, ...], out: Path | None, as_json: bool, quiet: bool, plots: bool
) -> None:
    """Run every cell of the campaign FILE (or a shipped name such as "quickstart").

    Called again after an interruption it resumes: finished cells are not run again. A cell whose SLOs fail
    is a finding; the exit code is 111 only if a cell has no valid result.
    """
    from wsload.campaign.grid import cells, load_campaign
    from wsload.cli import views
    from wsload.cli.live import live_view
    from wsload.profile.shipped import resolve

    campaign = load_campaign(resolve(file), overrides)
    planned = cells(campaign)

    from wsload.campaign.runner import run_campaign

    with live_view(quiet=quiet or as_json) as live:
        show, tell = (live.show, _teller(live)) if live else (None, None)
        note = None if quiet else (live.say if live else _say)
        result = asyncio.run(run_campaign(campaign, planned, out, show, tell, note))
    for line in _failure_lines(result.failures):
        click.echo(line, err=True)
    views.show_campaign(result.folder, as_json=as_json, quiet=quiet, plots=plots)
    sys.exit(result.exit_code)


def _say(line: str) -> None:
    click.echo(line, err=True)


def _failure_lines(failures: "Sequence[Failure]") -> list[str]:
    """A line for each error, with the cells that met it: one that all cells meet is told once."""
    cells: dict[str, list[str]] = {}
    for failure in failures:
        cells.setdefault(failure.error, []).append(failure.cell.folder)
    return [
        f"wsload: {first}{f' and {len(others)} more' if others else ''}: {error}"
        for error, (first, *others) in cells.items()
    ]


def _teller(live: "LiveView") -> "Callable[[Cell, RunResult | WsloadError], None]":
    """One line above the live view for each cell that has run."""
    from wsload.record.outcome import Validity

    def tell(cell: "Cell", outcome: "RunResult | WsloadError") -> None:
        if isinstance(outcome, Exception):
            live.say(f"✗ {cell.folder}: {outcome}")
            return
        summary = outcome.summary
        validity, found, tunnels = summary.verdict.validity, summary.capacity, summary.tunnels
        mark = "✓" if validity == Validity.VALID else "!"
        what = f"held {tunnels.held:,} of {tunnels.planned:,}"
        if found is not None:
            what = f"{found.capacity:,.0f} live within the SLO" if found.level else "no level within the SLO"
        live.say(f"{mark} {cell.folder}: {what}, {validity}")

    return tell
