"""``wsload run``."""

import asyncio
import sys
from pathlib import Path

import click

from wsload.cli import options


@click.command("run")
@click.argument("profile")
@options.set_option
@options.out_option
@options.json_option
@options.quiet_option
@options.plots_option
def command(
    profile: str, overrides: tuple[str, ...], out: Path | None, as_json: bool, quiet: bool, plots: bool
) -> None:
    """Run one PROFILE (a file, or a shipped name such as "mixed") and leave a result folder."""
    from wsload.cli import views
    from wsload.cli.live import live_view
    from wsload.profile.load import load_profile
    from wsload.profile.shipped import resolve

    loaded = load_profile(resolve(profile), overrides)

    from wsload.run.session import run

    with live_view(quiet=quiet or as_json) as live:
        result = asyncio.run(run(loaded, out, live.show if live else None))
    views.show_run(result.folder, result.summary, as_json=as_json, quiet=quiet, plots=plots)
    sys.exit(result.exit_code)
