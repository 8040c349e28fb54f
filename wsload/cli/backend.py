"""``wsload backend``."""

import asyncio
import signal
from collections.abc import Callable
from typing import TypeVar

import click

from wsload.backend.process import EmbeddedBackend
from wsload.errors import BackendError, ProfileError
from wsload.profile.model import Backend, Reply
from wsload.units import UnitError, parse_duration_ns, parse_rate_per_s

Number = TypeVar("Number", int, float)

_WATCH_PERIOD_S = 0.5


@click.command("backend")
@click.option(
    "--listen", default="127.0.0.1:8080", show_default=True, metavar="IP:PORT", help="Port 0: a free one."
)
@click.option("--processes", type=click.IntRange(1), default=1, show_default=True)
@click.option(
    "--reply", type=click.Choice([reply.value for reply in Reply]), default="echo", show_default=True
)
@click.option(
    "--push-rate", default="1/s", show_default=True, help="Messages to each tunnel, with --reply push."
)
@click.option(
    "--idle-close", default="0s", show_default=True, help="Close tunnels silent for so long; 0s: never."
)
def command(listen: str, processes: int, reply: str, push_rate: str, idle_close: str) -> None:
    """Run the embedded WebSocket backend by itself, e.g. behind your own HAProxy, until Ctrl-C."""
    ip, _, port = listen.rpartition(":")
    if not ip or not port.isdigit() or int(port) > 65535:
        raise ProfileError("--listen", "", f'"{listen}" is no address', 'write "127.0.0.1:8080"')
    settings = Backend(
        port=int(port) or None,
        processes=processes,
        reply=Reply(reply),
        push_rate_per_s=_parsed("--push-rate", push_rate, parse_rate_per_s),
        idle_close_ns=_parsed("--idle-close", idle_close, parse_duration_ns),
    )
    asyncio.run(_serve(settings, ip))


def _parsed(flag: str, text: str, parse: Callable[[str], Number]) -> Number:
    try:
        return parse(text)
    except UnitError as error:
        raise ProfileError(flag, "", error.problem, error.fix) from None


async def _serve(settings: Backend, ip: str) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    backend = await EmbeddedBackend.start(settings, first_ip=ip)
    try:
        for address in backend.addresses:
            click.echo(f"listening on ws://{address}/")
        while not ended.is_set() and not backend.dead():
            try:
                await asyncio.wait_for(ended.wait(), _WATCH_PERIOD_S)
            except TimeoutError:
                continue
        for index, pid, code in backend.dead():
            raise BackendError(f"backend process {index} (pid {pid}) ended by itself with status {code}")
    finally:
        await backend.stop()
