"""Options and helpers that several commands share."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Decorated = Callable[..., Any]

set_option = click.option(
    "--set",
    "overrides",
    metavar="KEY=VALUE",
    multiple=True,
    help="Override a key of the profile, e.g. --set haproxy.timeouts.tunnel=5s; may be repeated.",
)
out_option = click.option(
    "--out", type=click.Path(path_type=Path), help="Folder for the result; default results/TIME-TITLE."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the JSON on stdout, nothing else.")
quiet_option = click.option("--quiet", is_flag=True, help="No live view and no text at the end.")


def is_terminal() -> bool:
    """Whether a person may be watching stderr."""
    return sys.stderr.isatty()


def text_width() -> int:
    """Columns for text on stdout: the terminal's, within reason."""
    import shutil

    return max(80, min(shutil.get_terminal_size((100, 24)).columns, 120))
