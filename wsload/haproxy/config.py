"""The managed HAProxy's configuration: a WebSocket route beside ordinary HTTP. Pure text."""

import re
import shlex
from collections.abc import Sequence
from typing import Any, NamedTuple

import jinja2
import msgspec

from wsload.profile.model import TIMEOUT_NAMES, TUNNEL_TIMEOUT_HEADER, Haproxy
from wsload.units import NS_PER_MS, haproxy_time

_ABNS_BYTES = 108  # sizeof(sun_path): HAProxy pads abstract names with zeros to all of it

_LOG_FORMAT = (
    '{"ts":"%tsc","st":%ST,"Tw":%Tw,"Tc":%Tc,"Tr":%Tr,"Ta":%Ta,"Tt":%Tt,"Tu":%Tu,"B":%B,"U":%U,'
    '"ci":"%ci","cp":%cp,"bi":"%bi","bp":"%bp","si":"%si","sp":"%sp","f":"%f","b":"%b","s":"%s",'
    '"id":"%ID","r":"%[capture.req.uri,json(utf8s)]","rc":"%rc","t":"%tr","ac":%ac,"fc":%fc,"bc":%bc,'
    '"sc":%sc,"sq":%sq,"bq":%bq'
)
_LOG_FIELDS_SINCE = (
    ((3, 0), ',"fc_err":"%[fc_err]","bc_err":"%[bc_err]"'),
    ((3, 2), ',"term_events":"%[term_events]"'),
)
"""Fields worth having only from a release on: the fetches are constant, or unknown, before it."""

_TIMEOUT_MEANINGS = {
    "connect": "Connecting to a server; also the wait for a free one unless a queue timeout says otherwise.",
    "client": "Silence of a client, until the connection is a tunnel.",
    "server": "Silence of a server, the wait for its 101 above all, until the connection is a tunnel.",
    "tunnel": "Silence in both directions once it is a tunnel; then it replaces client and server.",
    "client-fin": "The client has closed its half of the connection.",
    "server-fin": "The server has closed its half of the connection.",
    "queue": "Waiting for a free server connection.",
    "http-request": "The request's headers have to be complete by then.",
    "http-keep-alive": "Waiting for a next request on a connection that is no tunnel.",
}

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("wsload.haproxy"),
    autoescape=False,  # noqa: S701 - a configuration file, not HTML
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,  # HAProxy refuses a last line without its newline
    undefined=jinja2.StrictUndefined,
)


class Names(NamedTuple):
    """The proxies of one route."""

    frontend: str
    """Clients connect to it: its current sessions are the slots in use."""
    tunnels: str
    """The backend of WebSocket requests."""
    pages: str
    """The backend of everything else."""


def names_of(route: int, routes: int) -> Names:
    """The proxies of a process's ``route`` (from 0): plain where it is the only one, else numbered from 1."""
    number = f"-{route + 1}" if routes > 1 else ""
    return Names(f"clients{number}", f"tunnels{number}", f"pages{number}")


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One way through a HAProxy process: a frontend with its own slots and log, and what is behind it."""

    haproxy: Haproxy
    """``maxconn`` and the timeouts are the route's; ``maxconn`` 0 leaves HAProxy to its descriptor limit."""
    servers: tuple[str, ...]
    """``ip:port`` of each."""
    path: str
    """The WebSocket path; a query string is not part of it."""
    log_address: str | None = None
    """Where log lines go, as HAProxy writes it (:attr:`LogReceiver.address`)."""
    takes_timeouts: bool = False
    """A request may bring its own ``timeout tunnel`` (``TUNNEL_TIMEOUT_HEADER``)."""
    label: str = ""
    """What stands above it in the file."""


def render(
    routes: Sequence[Route],
    *,
    index: int,
    ports: Sequence[int],
    source_ip: str | None,
    stats_name: str,
    version: str,
) -> str:
    """The text of one process's ``haproxy.cfg``.

    Args:
        routes: At least one; what is the whole process's (threads, ``hard-stop-after``) is the first's.
        index: Which process of the fleet, from 0.
        ports: Where each route listens on 127.0.0.1.
        source_ip: The process's own address toward the servers, or None for the kernel's choice.
        stats_name: The abstract name of its stats socket.
        version: ``2.6.12``; decides which fields the log line has.
    """
    whole = routes[0].haproxy
    slots = [route.haproxy.maxconn for route in routes]
    hard_stop_ns = whole.timeouts_ns.get("hard-stop-after")
    return _TEMPLATES.get_template("haproxy.cfg.j2").render(
        index=index,
        version=version,
        maxconn=sum(slots) if all(slots) else 0,
        threads=whole.threads,
        stats_name=stats_name,
        log_format=log_format(version),
        hard_stop_after=None if hard_stop_ns is None else haproxy_time(hard_stop_ns),
        routes=[
            _rendered(route, names_of(number, len(routes)), port, source_ip)
            for number, (route, port) in enumerate(zip(routes, ports, strict=True))
        ],
        timeout_header=TUNNEL_TIMEOUT_HEADER,
    )


def _rendered(route: Route, names: Names, port: int, source_ip: str | None) -> dict[str, Any]:
    """What the template says of one route."""
    timeouts_ns = route.haproxy.timeouts_ns
    return {
        "label": route.label,
        "names": names,
        "port": port,
        "maxconn": route.haproxy.maxconn,
        "log_address": route.log_address,
        "timeouts": [
            {"name": name, "text": haproxy_time(timeouts_ns[name]), "meaning": meaning}
            for name, meaning in _TIMEOUT_MEANINGS.items()
            if name in timeouts_ns
        ],
        "has_tunnel_timeout": bool(timeouts_ns.get("tunnel")),
        "takes_timeouts": route.takes_timeouts,
        "path": shlex.quote(route.path.partition("?")[0]),  # HAProxy's quoting is the shell's
        "servers": route.servers,
        "source": _source(source_ip, route.haproxy.source_ports),
    }


def _source(ip: str | None, ports: tuple[int, int] | None) -> str:
    """A server's ``source``: an address, local ports, both or (empty) neither."""
    if ports is None:
        return f" source {ip}" if ip else ""
    return f" source {ip or '0.0.0.0'}:{ports[0]}-{ports[1]}"


def log_format(version: str) -> str:
    """The JSON log format for a release such as ``"3.2.26"``; field names are HAProxy's own aliases."""
    release = _release(version)
    return _LOG_FORMAT + "".join(fields for since, fields in _LOG_FIELDS_SINCE if release >= since) + "}"


def effective_timers_ms(haproxy: Haproxy) -> dict[str, int]:
    """The timers in force by HAProxy's names, in ms, with its fall-backs applied.

    ``queue`` falls back to ``connect``, ``http-request`` to ``client``, and ``http-keep-alive`` to
    ``http-request`` (configuration manual, section 4.2). A timer that is off (unset, or 0) is absent. Where
    ``tunnel`` is absent, an idle tunnel ends at the smaller of ``client`` and ``server``.
    """
    timers = {name: _milliseconds(ns) for name, ns in haproxy.timeouts_ns.items() if ns > 0}
    for name, fallback in (
        ("queue", "connect"),
        ("http-request", "client"),
        ("http-keep-alive", "http-request"),
    ):
        if name not in timers and fallback in timers:
            timers[name] = timers[fallback]
    return {name: timers[name] for name in TIMEOUT_NAMES if name in timers}


def abns_address(name: str) -> bytes:
    """What to bind or connect a Unix socket to, so that it is HAProxy's ``abns@name``."""
    return b"\0".join((b"", name.encode())).ljust(_ABNS_BYTES, b"\0")


def _milliseconds(ns: int) -> int:
    return -(-ns // NS_PER_MS)


def _release(version: str) -> tuple[int, int]:
    match = re.match(r"(\d+)\.(\d+)", version)
    return (int(match[1]), int(match[2])) if match else (0, 0)
