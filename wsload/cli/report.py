"""``wsload report``."""

from pathlib import Path

import click

from wsload.cli import options


@click.command("report")
@click.argument("folder", type=click.Path(path_type=Path))
@options.json_option
@options.quiet_option
@options.plots_option
def command(folder: Path, as_json: bool, quiet: bool, plots: bool) -> None:
    """Make text, plots and page again from a result FOLDER alone, a run's or a campaign's."""
    from wsload.cli import views
    from wsload.record import layout

    if (folder / layout.CAPACITY).is_file():
        views.show_campaign(folder, as_json=as_json, quiet=quiet, plots=plots)
        return
    from wsload.analysis.folder import stored_profile
    from wsload.run.session import finish

    summary = finish(folder, stored_profile(folder)).summary
    views.show_run(folder, summary, as_json=as_json, quiet=quiet, plots=plots)
