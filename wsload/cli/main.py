"""The group of all commands. Each command's module is imported when it is called."""

import importlib
import signal
import sys

import click

import wsload
from wsload.errors import ExitCode, WsloadError

_COMMANDS = (
    "run",
    "campaign",
    "check",
    "report",
    "compare",
    "diagnose",
    "probe",
    "size",
    "backend",
    "profiles",
)


class _LazyGroup(click.Group):
    """Imports ``wsload.cli.NAME`` for the command NAME only.

    Those modules import what is heavy (numpy, matplotlib, rich) when they run, so that ``--help`` and
    errors come at once.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All, in the order a user needs them."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The module's object of the same name."""
        if cmd_name not in _COMMANDS:
            return None
        command = importlib.import_module(f"wsload.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command


@click.group(cls=_LazyGroup, context_settings={"auto_envvar_prefix": "WSLOAD", "max_content_width": 110})
@click.version_option(wsload.__version__, prog_name="wsload")
def group() -> None:
    """Load and soak testing of WebSocket tunnels through HAProxy.

    How many can it hold, what does each timeout setting cost, and who closed that tunnel?

    Exit codes: 0 passed, 2 usage, 99 SLO failed, 104 profile or configuration invalid, 105 interrupted
    (partial result saved), 111 result not valid.
    """


def main() -> None:
    """Run a command; an error becomes one line on stderr and its exit code."""
    # Before and after a run, which has its own way with signals, SIGTERM does what Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(group.main(prog_name="wsload", standalone_mode=False))
    except WsloadError as error:
        click.echo(f"wsload: {error}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        click.echo("wsload: interrupted", err=True)
        sys.exit(ExitCode.INTERRUPTED)
