"""Options that several commands share."""

from pathlib import Path

import click

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
