"""``wsload campaign``."""

import asyncio
import sys
from pathlib import Path

import click

from wsload.campaign.grid import cells, load_campaign
from wsload.cli import options
from wsload.cli.live import live_view
from wsload.cli.views import campaign_json, print_campaign, write_campaign_views
from wsload.profile.shipped import resolve


@click.command("campaign")
@click.argument("file")
@options.set_option
@options.out_option
@options.json_option
@options.quiet_option
def command(file: str, overrides: tuple[str, ...], out: Path | None, as_json: bool, quiet: bool) -> None:
    """Run every cell of the campaign FILE (or a shipped name such as "quickstart").

    Called again after an interruption it resumes: finished cells are not run again. A cell whose SLOs fail
    is a finding; the exit code is 111 only if a cell has no valid result.
    """
    from wsload.campaign.runner import choose_folder, run_campaign

    campaign = load_campaign(resolve(file), overrides)
    planned = cells(campaign)
    folder = out or choose_folder(campaign, planned)
    with live_view(quiet=quiet or as_json) as on_progress:
        result = asyncio.run(run_campaign(campaign, planned, folder, on_progress))
    for failure in result.failures:
        click.echo(f"wsload: {failure.cell.folder}: {failure.error}", err=True)
    write_campaign_views(folder)
    if as_json:
        click.echo(campaign_json(folder))
    elif not quiet:
        print_campaign(folder)
    sys.exit(result.exit_code)
