"""``wsload run``."""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from wsload.cli import options
from wsload.cli.live import live_view
from wsload.cli.views import print_summary, write_views
from wsload.profile.load import load_profile
from wsload.profile.shipped import resolve


@click.command("run")
@click.argument("profile")
@options.set_option
@options.out_option
@options.json_option
@options.quiet_option
def command(profile: str, overrides: tuple[str, ...], out: Path | None, as_json: bool, quiet: bool) -> None:
    """Run one PROFILE (a file, or a shipped name such as "mixed") and leave a result folder."""
    from wsload.analysis.summary import encode_summary
    from wsload.run.folder import default_folder
    from wsload.run.session import run

    loaded = load_profile(resolve(profile), overrides)
    folder = out or default_folder(loaded.profile.title, datetime.now(UTC))
    with live_view(quiet=quiet or as_json) as on_progress:
        result = asyncio.run(run(loaded, folder, on_progress))
    write_views(folder, result.summary)
    if as_json:
        click.echo(encode_summary(result.summary), nl=False)
    elif not quiet:
        print_summary(result.summary, folder)
    sys.exit(result.exit_code)
