"""Options that several commands share. Each may be set by a variable too: ``WSLOAD_SET``, ``WSLOAD_OUT``."""

from pathlib import Path

import click

set_option = click.option(
    "--set",
    "overrides",
    metavar="KEY=VALUE",
    multiple=True,
    envvar="WSLOAD_SET",
    show_envvar=True,
    help="Override a key of the profile, e.g. --set haproxy.timeouts.tunnel=5s; may be repeated.",
)
out_option = click.option(
    "--out",
    type=click.Path(path_type=Path),
    envvar="WSLOAD_OUT",
    show_envvar=True,
    help="Folder for the result; default results/TIME-TITLE.",
)
json_option = click.option(
    "--json",
    "as_json",
    is_flag=True,
    envvar="WSLOAD_JSON",
    show_envvar=True,
    help="Print the JSON on stdout, nothing else.",
)
quiet_option = click.option(
    "--quiet",
    is_flag=True,
    envvar="WSLOAD_QUIET",
    show_envvar=True,
    help="No live view and no text at the end.",
)
plots_option = click.option(
    "--plots/--no-plots",
    default=True,
    show_default=True,
    envvar="WSLOAD_PLOTS",
    show_envvar=True,
    help="Draw plots and write the page, or leave them for a later: wsload report FOLDER.",
)
