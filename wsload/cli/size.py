"""``wsload size``."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from wsload.cli import options, quantities
from wsload.errors import PreflightError

if TYPE_CHECKING:
    from wsload.analysis.sizing.question import Costs, Fleet, Node

Command = TypeVar("Command", bound=Callable[..., Any])


def _options(*made: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several options as one decorator, in this order in the help."""

    def decorate(function: Command) -> Command:
        for each in reversed(made):
            function = each(function)
        return function

    return decorate


_fleet_options = _options(
    click.option("--tunnels", type=quantities.COUNT, help="Live tunnels at the peak, of the whole fleet."),
    click.option(
        "--timeout",
        "timeouts",
        metavar="NAME=TIME",
        multiple=True,
        help="HAProxy's timers by its names, e.g. --timeout tunnel=10m --timeout client-fin=30s; may be "
        "repeated. Default: connect=5s client=30s server=30s tunnel=1h; none: leave it unset.",
    ),
    click.option(
        "--vanish",
        "vanish_per_s",
        type=quantities.SHARE_RATE,
        help="Clients that vanish without FIN or RST, and come back: 2%/min of the live ones.",
    ),
    click.option(
        "--half-close",
        "half_close_per_s",
        type=quantities.SHARE_RATE,
        help="Clients that shut their side while the backend keeps its own open.",
    ),
    click.option("--ping", "ping_every_ns", type=quantities.TIME, help="Heartbeat of each tunnel."),
    click.option(
        "--ping-from", type=click.Choice(["client", "server"]), help="Who sends it; default client."
    ),
    click.option(
        "--pong-timeout",
        "pong_timeout_ns",
        type=quantities.TIME,
        help="The server closes so long after a ping without a pong.",
    ),
    click.option(
        "--tcp-ut", "tcp_user_timeout_ns", type=quantities.TIME, help="tcp-ut on HAProxy's bind lines."
    ),
    click.option("--session", "session_ns", type=quantities.TIME, help="How long a client stays on average."),
    click.option("--active", "active_share", type=quantities.SHARE, help="Share of tunnels with messages."),
    click.option(
        "--messages",
        "messages_per_s",
        type=quantities.RATE,
        help="Of each active tunnel, both directions together: an echo a second is 2/s.",
    ),
    click.option("--tls", is_flag=True, default=None, help="Clients come with TLS."),
    click.option(
        "--overlap",
        "reload_overlap",
        type=quantities.SHARE,
        help="Tunnels that live on in old processes after a reload, while the new one fills up again.",
    ),
    click.option(
        "--reconnect-window",
        "reconnect_window_ns",
        type=quantities.TIME,
        help="Clients spread their reconnects over so long (jitter); default 30s.",
    ),
)
_node_options = _options(
    click.option("--nodes", type=quantities.COUNT, help="HAProxy nodes there are; default: what it takes."),
    click.option("--spare", type=quantities.NUMBER, default="0", help="Nodes that may be out; default 0."),
    click.option(
        "--reserve",
        type=quantities.RESERVE,
        default="20%",
        show_default=True,
        help="Share of each limit that stays free.",
    ),
    click.option(
        "--this-machine", is_flag=True, help="Take the limits below from this machine, unless given."
    ),
    click.option(
        "--memory", "memory_bytes", type=quantities.SIZE, help="Memory for HAProxy and its sockets."
    ),
    click.option("--nofile", type=quantities.COUNT, help="Descriptor limit of HAProxy's process."),
    click.option("--cores", type=quantities.COUNT, help="Cores for HAProxy."),
    click.option("--threads", type=quantities.COUNT, help="nbthread; default: a thread for each core."),
    click.option("--maxconn", type=quantities.COUNT, help="As configured; default: what is proposed."),
    click.option("--binds", type=quantities.COUNT, help="Addresses that HAProxy listens on; default 1."),
    click.option("--backends", type=quantities.COUNT, help="Backend addresses, ip:port; default 1."),
    click.option("--checks", type=quantities.NUMBER, help="Servers with health checks; default 0."),
    click.option("--sources", type=quantities.COUNT, help="Addresses it connects from; default 1."),
    click.option("--ports", type=quantities.COUNT, help="Size of ip_local_port_range; default 28232."),
    click.option("--conntrack", type=quantities.COUNT, help="nf_conntrack_max, where it is loaded."),
    click.option("--somaxconn", type=quantities.COUNT, help="net.core.somaxconn; default 4096."),
    click.option("--accept-rate", "accept_per_s", type=quantities.SPEED, help="Openings HAProxy can take."),
)
_cost_options = _options(
    click.option(
        "--from",
        "folder",
        metavar="FOLDER",
        type=click.Path(path_type=Path),
        help="Take costs, timers and behaviour from a run's folder; options given beside it win.",
    ),
    click.option(
        "--haproxy-version",
        "release",
        type=click.Choice(["2.6", "3.0", "3.2"]),
        help="Whose measured costs to take; default 3.2.",
    ),
    click.option(
        "--memory-per-tunnel", "tunnel_bytes", type=quantities.SIZE, help="HAProxy's, idle, without TLS."
    ),
    click.option("--tls-memory", "tls_bytes", type=quantities.SIZE, help="What TLS adds; default 50KB."),
    click.option("--cpu-per-opening", "handshake_ns", type=quantities.TIME, help="HAProxy's; default 170us."),
    click.option("--cpu-per-message", "message_ns", type=quantities.TIME, help="HAProxy's; default 8us."),
)


@click.command("size")
@_fleet_options
@_node_options
@_cost_options
@options.json_option
def command(
    folder: Path | None,
    nodes: int | None,
    spare: int,
    reserve: float,
    this_machine: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """How many HAProxy nodes do so many tunnels take, which limit binds first, and what to configure?

    A calculator: nothing is started. What is not given is not judged. Slots of clients that are gone count:
    slots = tunnels x (1 + vanish rate x how long HAProxy holds such a slot).

    Exit codes: 0 it fits, 2 usage, 104 it does not fit on the nodes given (the answer is printed all the
    same), or --from names a folder that is no measure.
    """
    from wsload.analysis.sizing.answer import endless_hold, size
    from wsload.analysis.sizing.question import Question
    from wsload.cli.views import say, text_width
    from wsload.report.size_text import misfit, size_json, size_text

    if nodes is not None and spare >= nodes:
        raise click.UsageError(f"--spare {spare} leaves none of --nodes {nodes} to carry anything; lower it")
    costs, fleet, doubts = _start(folder, given)
    question = Question(
        fleet=_fleet(fleet, given),
        costs=_costs(costs, given),
        node=_node(given, this_machine=this_machine),
        nodes=nodes,
        spare=spare,
        reserve=reserve,
    )
    flag = endless_hold(question)
    if flag:
        raise click.UsageError(
            f"{flag}: no timer ever frees the slot of a client that is gone; give one: --timeout tunnel=1h"
        )
    answer = size(question)
    for doubt in doubts:
        click.echo(f"wsload: {doubt}", err=True)
    if as_json:
        say(size_json(answer))
    else:
        colour = sys.stdout.isatty()
        say(size_text(answer, colour, text_width()).rstrip("\n"), colour=colour)
    if not answer.fits:
        raise PreflightError(misfit(answer))


def _start(folder: Path | None, given: dict[str, Any]) -> "tuple[Costs, Fleet, list[str]]":
    """Where the answer starts from: a run, or the figures measured here."""
    from wsload.analysis.sizing.question import RELEASES, Fleet

    release = given.pop("release")
    if folder is None:
        if given["tunnels"] is None:
            raise click.UsageError("how many? Give --tunnels 10k, or --from FOLDER")
        return RELEASES[release or max(RELEASES)], Fleet(tunnels=given["tunnels"]), []
    if release is not None:
        raise click.UsageError("--haproxy-version: --from says it already; leave one out")
    from wsload.analysis.folder import RunFolder, stored_profile
    from wsload.analysis.sizing.calibration import calibrate

    return calibrate(RunFolder(folder), stored_profile(folder).profile)


def _fleet(start: "Fleet", given: dict[str, Any]) -> "Fleet":
    import msgspec

    from wsload.analysis.sizing.question import PingFrom

    said = _said(given, type(start))
    if "ping_from" in said:
        said["ping_from"] = PingFrom(said["ping_from"])
    fleet = msgspec.structs.replace(start, **said, timeouts_ns=_timeouts(start, given["timeouts"]))
    if fleet.pong_timeout_ns and not (fleet.ping_every_ns and fleet.ping_from is PingFrom.SERVER):
        raise click.UsageError("--pong-timeout: the server's; add --ping 25s --ping-from server")
    if fleet.ping_from is PingFrom.SERVER and not fleet.ping_every_ns:
        raise click.UsageError("--ping-from server: how often? Add --ping 25s")
    is_said = "active_share" in said or "messages_per_s" in said
    if is_said and bool(fleet.active_share) != bool(fleet.messages_per_s):
        raise click.UsageError("--active and --messages go together: --active 20% --messages 2/s")
    return fleet


def _timeouts(start: "Fleet", texts: tuple[str, ...]) -> dict[str, int]:
    """``tunnel=10m`` over those that were there; ``tunnel=none`` takes one away."""
    from wsload.profile.model import TIMEOUT_NAMES
    from wsload.profile.values import haproxy_timeout
    from wsload.units import UnitError

    timeouts = dict(start.timeouts_ns)
    for text in texts:
        name, _, length = text.partition("=")
        if name not in TIMEOUT_NAMES:
            known = ", ".join(TIMEOUT_NAMES)
            raise click.UsageError(f'--timeout: "{text}" names no timer; write NAME=TIME with one of {known}')
        try:
            ns = haproxy_timeout(length)
        except UnitError as error:
            raise click.UsageError(f"--timeout: {name}: {error}") from None
        timeouts.pop(name, None)
        if ns is not None:
            timeouts[name] = ns
    return timeouts


def _costs(start: "Costs", given: dict[str, Any]) -> "Costs":
    import msgspec

    from wsload.units import NS_PER_S

    said = _said(given, type(start))
    for flag, field in (("handshake_ns", "handshake_s"), ("message_ns", "message_s")):
        if given[flag] is not None:
            said[field] = given[flag] / NS_PER_S
    if said:
        said["origin"] = f"partly given; else {start.origin}"
    return msgspec.structs.replace(start, **said)


def _node(given: dict[str, Any], *, this_machine: bool) -> "Node":
    from wsload.analysis.sizing.question import Node

    said = _said(given, Node)
    if this_machine:
        from wsload.plan.preflight import read_machine
        from wsload.plan.sharding import ports_of

        machine = read_machine()
        found = {
            "memory_bytes": machine.memory_available_bytes,
            "nofile": machine.nofile_hard,
            "file_max": machine.file_max,
            "cores": machine.cores,
            "ports": ports_of(machine),
            "conntrack": machine.conntrack_max,
            "somaxconn": machine.somaxconn,
        }
        said = found | said
    said.setdefault("threads", said.get("cores") or 1)
    return Node(**said)


def _said(given: dict[str, Any], type_: type) -> dict[str, Any]:
    """The options that were given and are fields of a struct."""
    fields: tuple[str, ...] = type_.__struct_fields__  # type: ignore[attr-defined]
    return {name: given[name] for name in fields if given.get(name) is not None}
