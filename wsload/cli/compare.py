"""``wsload compare``."""

import sys
from pathlib import Path

import click


@click.command("compare")
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Compare runs that did not set out to do the same.")
def command(folders: tuple[Path, ...], force: bool) -> None:
    """Put the runs in FOLDERS beside each other, the first as the yardstick. Unlike runs are refused."""
    from wsload.analysis.compare import compare
    from wsload.cli.views import say, text_width
    from wsload.report.text import comparison_text

    colour = sys.stdout.isatty()
    text = comparison_text(compare(folders, force=force), color=colour, width=text_width())
    say(text, colour=colour)
