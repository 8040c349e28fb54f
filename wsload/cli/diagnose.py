"""``wsload diagnose``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wsload.cli import options
from wsload.errors import FolderError, ProfileError

if TYPE_CHECKING:
    from wsload.analysis.diagnosis import Diagnosis
    from wsload.analysis.folder import RunFolder


@click.command("diagnose")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--haproxy-log",
    "log",
    metavar="FILE",
    type=click.Path(path_type=Path),
    envvar="WSLOAD_HAPROXY_LOG",
    show_envvar=True,
    help="Join the log of a HAProxy that wsload did not start: option httplog, tcplog, or wsload's JSON; "
    "plain or .gz.",
)
@click.option(
    "--timeout",
    "timeouts",
    metavar="NAME=TIME",
    multiple=True,
    envvar="WSLOAD_TIMEOUT",
    show_envvar=True,
    help="Its timers in force, by HAProxy's names, e.g. --timeout client=30s --timeout tunnel=none, and "
    "backend-idle-close; may be repeated. What is not named counts as unset.",
)
@click.option(
    "--log-ahead",
    "log_ahead",
    metavar="TIME",
    help="How far the log's clock or time zone is ahead of the run's, e.g. 1h; behind: --log-ahead=-1h.",
)
@options.json_option
@options.plots_option
def command(
    folder: Path,
    log: Path | None,
    timeouts: tuple[str, ...],
    log_ahead: str | None,
    as_json: bool,
    plots: bool,
) -> None:
    """Tell who closed the tunnels of a run's FOLDER, how sure that is, and what to change.

    What is said of an external HAProxy is kept in the folder: later reports and diagnoses know it too.
    """
    from wsload.analysis.diagnosis import diagnose
    from wsload.analysis.folder import RunFolder
    from wsload.cli import views

    timers_ms = dict(map(_timer, timeouts)) if timeouts else None
    ahead_s = None if log_ahead is None else _signed_s("--log-ahead", log_ahead)
    run_folder, summary = RunFolder(folder), None
    if log is not None or timers_ms is not None or ahead_s is not None or run_folder.attribution() is None:
        from wsload.analysis.folder import stored_profile
        from wsload.run.session import finish

        summary = finish(folder, stored_profile(folder), log, timers_ms, ahead_s).summary
    diagnosis = diagnose(run_folder)
    if as_json:
        import msgspec

        views.say(msgspec.json.format(msgspec.json.encode(diagnosis), indent=2).decode("utf-8"))
    else:
        from wsload.report.diagnosis_text import diagnosis_text

        colour = sys.stdout.isatty()
        views.say(diagnosis_text(diagnosis, colour, views.text_width()).rstrip("\n"), colour=colour)
    if plots:
        _draw(run_folder, diagnosis)
        if summary is not None:
            views.write_views(folder, summary)


def _draw(folder: "RunFolder", diagnosis: "Diagnosis") -> None:
    from wsload.report.diagnosis_plots import write_diagnosis_plots

    try:
        write_diagnosis_plots(folder, diagnosis)
    except OSError as error:
        raise FolderError(
            f"{folder.path}: the plot cannot be written: {error.strerror}; make room, or add --no-plots"
        ) from error


def _timer(text: str) -> tuple[str, int]:
    """``client=30s`` -> ``("client", 30000)``."""
    from wsload.profile.model import TIMEOUT_NAMES
    from wsload.profile.values import haproxy_timeout
    from wsload.record.layout import BACKEND_IDLE_CLOSE
    from wsload.units import NS_PER_MS, UnitError

    name, _, length = text.partition("=")
    names = (*TIMEOUT_NAMES, BACKEND_IDLE_CLOSE)
    if name not in names:
        known = ", ".join(names)
        raise ProfileError(
            "--timeout", "", f'"{text}" names no timer', f"write NAME=TIME with one of {known}"
        )
    try:
        return name, (haproxy_timeout(length) or 0) // NS_PER_MS
    except UnitError as error:
        raise ProfileError("--timeout", name, error.problem, error.fix) from None


def _signed_s(flag: str, text: str) -> float:
    from wsload.units import NS_PER_S, UnitError, parse_duration_ns

    try:
        return (-1 if text.startswith("-") else 1) * parse_duration_ns(text.lstrip("+-")) / NS_PER_S
    except UnitError as error:
        raise ProfileError(flag, "", error.problem, error.fix) from None
