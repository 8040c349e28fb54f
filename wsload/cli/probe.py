"""``wsload probe``."""

import asyncio
import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

import click

from wsload.cli import options
from wsload.errors import ProfileError

if TYPE_CHECKING:
    from wsload.probe.check import Check
    from wsload.probe.idle_finder import Underway

_CLEAR_LINE = "\r\x1b[K"
_COLOURS = {"✓": "green", "✗": "red", "·": "bright_black"}

Value = TypeVar("Value")


@click.command("probe")
@click.argument("url")
@click.option(
    "--header", "headers", metavar="NAME:VALUE", multiple=True, help="Send this header; may be repeated."
)
@click.option(
    "--subprotocol", "subprotocols", metavar="NAME", multiple=True, help="Offer it; may be repeated."
)
@click.option(
    "--timeout", metavar="TIME", default="5s", show_default=True, help="How long each answer may take."
)
@click.option("--insecure", is_flag=True, help="Take any certificate (wss).")
@click.option(
    "--find-idle-timeout",
    "bound",
    metavar="TIME",
    help="Then find the idle timers on the path, up to this long, with about 20 tunnels; takes as long.",
)
@options.json_option
def command(
    url: str,
    headers: tuple[str, ...],
    subprotocols: tuple[str, ...],
    timeout: str,
    insecure: bool,
    bound: str | None,
    as_json: bool,
) -> None:
    """Check what answers at URL (ws:// or wss://), as one would by hand, and what cuts its tunnels.

    In order: name, TCP, TLS, upgrade, an ordinary HTTP request, ping, echo (none is no failure), closing
    handshake. Works with any WebSocket server.

    Exit codes: 0 all checks hold (an idle timer found or not), 99 one failed, 104 the URL or an option is
    wrong, 105 interrupted.
    """
    from wsload.cli.views import say, text_width
    from wsload.probe.idle_plan import SHORTEST_BOUND_NS
    from wsload.probe.result import to_json
    from wsload.probe.session import probe
    from wsload.probe.target import parse_target
    from wsload.probe.text import check_text, finding_text, verdict_text
    from wsload.profile.values import subprotocol

    for name in subprotocols:
        _checked("--subprotocol", subprotocol, name)
    target = parse_target(
        url,
        headers=_headers(headers),
        subprotocols=subprotocols,
        timeout_ns=_duration_ns("--timeout", timeout, 1),
        verify=not insecure,
    )
    bound_ns = None if bound is None else _duration_ns("--find-idle-timeout", bound, SHORTEST_BOUND_NS)
    width, colour = text_width(), sys.stdout.isatty()

    def tell(check: "Check") -> None:
        if not as_json:
            say(_coloured(check_text(check, width)), colour=colour)

    with _progress() as tell_idle:
        result = asyncio.run(probe(target, bound_ns, tell, tell_idle))
    if as_json:
        say(to_json(result))
    else:
        if result.finding is not None:
            say(_coloured(finding_text(result.finding, width)), colour=colour)
        say(verdict_text(result))
    sys.exit(result.exit_code)


@contextlib.contextmanager
def _progress() -> Iterator[Callable[["Underway"], None] | None]:
    """Draws one line on stderr, gone at the end; None where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from wsload.probe.text import progress_text

    try:
        yield lambda underway: click.echo(_CLEAR_LINE + progress_text(underway), nl=False, err=True)
    finally:
        click.echo(_CLEAR_LINE, nl=False, err=True)


def _coloured(text: str) -> str:
    return click.style(text[0], fg=_COLOURS.get(text[0])) + text[1:]


def _headers(given: tuple[str, ...]) -> dict[str, str]:
    from wsload.profile.values import headers

    split = {}
    for text in given:
        name, colon, value = text.partition(":")
        if not colon:
            raise ProfileError(
                "", "--header", f'"{text}" has no colon', 'write "Origin: https://app.example"'
            )
        split[name.strip()] = value.strip()
    return _checked("--header", headers, split)


def _duration_ns(flag: str, text: str, least_ns: int) -> int:
    from wsload.units import format_duration, parse_duration_ns

    ns = _checked(flag, parse_duration_ns, text)
    if ns < least_ns:
        raise ProfileError("", flag, f'"{text}" is too short', f"write {format_duration(least_ns)} or more")
    return ns


def _checked(flag: str, parse: Callable[..., Value], raw: object) -> Value:
    from wsload.units import UnitError

    try:
        return parse(raw)
    except UnitError as error:
        raise ProfileError("", flag, error.problem, error.fix) from error
