"""The command line: the only room that prints, exits, and turns errors into text."""

from wsload.cli.main import main

__all__ = ["main"]
