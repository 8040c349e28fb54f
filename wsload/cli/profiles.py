"""``wsload profiles``."""

from pathlib import Path

import click

from wsload.errors import FolderError
from wsload.profile.shipped import describe, resolve, shipped_profiles


@click.command("profiles")
@click.option("--copy", "name", metavar="NAME", help="Copy this one into the current folder, to be edited.")
def command(name: str | None) -> None:
    """List the shipped profiles and campaigns."""
    if name is not None:
        source = resolve(name)
        target = Path(source.name)
        try:
            with target.open("x", encoding="utf-8") as file:
                file.write(source.read_text(encoding="utf-8"))
        except OSError as error:
            raise FolderError(
                f"{target}: cannot be written: {error.strerror}; move it away or change folder"
            ) from error
        click.echo(f"wrote {target}; run it with: wsload run {target}")
        return
    shipped = shipped_profiles()
    width = max(map(len, shipped), default=0)
    for stem, path in shipped.items():
        click.echo(f"{stem:<{width}}  {describe(path)[1]}")
