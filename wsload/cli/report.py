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
        if plots:
            with views.until_interrupted(folder):
                views.write_campaign_views(folder)
        if as_json:
            views.print_campaign_json(folder)
        elif not quiet:
            views.print_campaign(folder)
        return
    from wsload.run.session import finish, stored_profile

    summary = finish(folder, stored_profile(folder)).summary
    if as_json:
        views.print_json(summary)
    elif not quiet:
        views.print_summary(summary, folder)
    if plots:
        with views.until_interrupted(folder):
            views.write_views(folder, summary)
