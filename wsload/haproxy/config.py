"""The managed HAProxy's configuration: a WebSocket route beside ordinary HTTP. Pure text."""

import re
import shlex
from collections.abc import Sequence

import jinja2

from wsload.profile.model import TIMEOUT_NAMES, Haproxy
from wsload.units import NS_PER_MS, haproxy_time

FRONTEND = "clients"
"""The frontend that clients connect to: its current sessions are the slots in use."""

TUNNELS = "tunnels"
"""The backend of WebSocket requests."""

PAGES = "pages"
"""The backend of everything else."""

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


def render(
    haproxy: Haproxy,
    *,
    index: int,
    port: int,
    backend_servers: Sequence[str],
    path: str,
    source_ip: str | None,
    stats_name: str,
    log_address: str | None,
    version: str,
) -> str:
    """The text of one process's ``haproxy.cfg``.

    Args:
        haproxy: The profile's part; ``maxconn`` 0 leaves the line out and HAProxy to its descriptor limit.
        index: Which process of the fleet, from 0.
        port: Where it listens on 127.0.0.1.
        backend_servers: ``ip:port`` of each server.
        path: The WebSocket path; a query string is not part of it.
        source_ip: Its own address toward the servers, or None for the kernel's choice.
        stats_name: The abstract name of its stats socket.
        log_address: Where log lines go, as HAProxy writes it (:attr:`LogReceiver.address`), or None.
        version: ``2.6.12``; decides which fields the log line has.
    """
    text_of = {name: haproxy_time(ns) for name, ns in haproxy.timeouts_ns.items()}
    return _TEMPLATES.get_template("haproxy.cfg.j2").render(
        index=index,
        port=port,
        version=version,
        maxconn=haproxy.maxconn,
        threads=haproxy.threads,
        stats_name=stats_name,
        log_address=log_address,
        log_format=log_format(version),
        hard_stop_after=text_of.get("hard-stop-after"),
        timeouts=[
            {"name": name, "text": text_of[name], "meaning": meaning}
            for name, meaning in _TIMEOUT_MEANINGS.items()
            if name in text_of
        ],
        has_tunnel_timeout=bool(haproxy.timeouts_ns.get("tunnel")),
        path=shlex.quote(path.partition("?")[0]),  # HAProxy's quoting is the shell's
        servers=list(backend_servers),
        source_ip=source_ip,
        source=f" source {source_ip}" if source_ip else "",
        frontend=FRONTEND,
        tunnels=TUNNELS,
        pages=PAGES,
    )


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
