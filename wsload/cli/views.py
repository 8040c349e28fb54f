"""Make every view of a run's folder: plots, page, text."""

from pathlib import Path

import click

from wsload.cli.options import text_width
from wsload.errors import FolderError
from wsload.record.layout import Summary


def write_views(folder: Path, summary: Summary) -> None:
    """Plots and page. Raises FolderError if they cannot be written."""
    from wsload.analysis.folder import RunFolder
    from wsload.report.html import write_html
    from wsload.report.plots import write_plots

    run_folder = RunFolder(folder)
    try:
        write_plots(run_folder)
        write_html(run_folder, summary)
    except OSError as error:
        raise FolderError(
            f"{folder}: plots cannot be written: {error.strerror}; make room and type: wsload report {folder}"
        ) from error


def print_summary(summary: Summary, folder: Path) -> None:
    """The text at a run's end, on stdout."""
    import sys

    from wsload.report.text import final_text

    colour = sys.stdout.isatty()
    click.echo(final_text(summary, folder, color=colour, width=text_width()), color=colour)
