"""What ``wsload size`` is asked: the fleet of tunnels, what one costs, and the nodes that carry them."""

from enum import StrEnum

import msgspec

from wsload.plan.model import PORTS_PER_PAIR
from wsload.plan.preflight import SOCKET_BYTES, SOMAXCONN
from wsload.profile.model import DEFAULT_TIMEOUTS_NS
from wsload.units import NS_PER_S


class PingFrom(StrEnum):
    """Who sends the heartbeat."""

    CLIENT = "client"
    SERVER = "server"


class Fleet(msgspec.Struct, frozen=True, kw_only=True):
    """The tunnels. Rates are for each live tunnel; shares are 0..1."""

    tunnels: int
    """Live at the peak."""
    timeouts_ns: dict[str, int] = msgspec.field(default_factory=lambda: dict(DEFAULT_TIMEOUTS_NS))
    """HAProxy's name -> ns; a timer that is off is absent."""
    vanish_per_s: float = 0.0
    """Clients that go without FIN or RST, and come back on a new connection."""
    half_close_per_s: float = 0.0
    """Clients that shut their side while the backend keeps its own open."""
    ping_every_ns: int | None = None
    ping_from: PingFrom = PingFrom.CLIENT
    pong_timeout_ns: int | None = None
    """After so long without a pong the server gives a client up; None: never."""
    tcp_user_timeout_ns: int | None = None
    """``tcp-ut`` on HAProxy's bind line; None: the kernel gives up when its retries are used up."""
    session_ns: int | None = None
    """How long a client stays, on average; None: for good."""
    active_share: float = 0.0
    """Of the tunnels: those that carry messages."""
    messages_per_s: float = 0.0
    """Of each active tunnel, both directions together."""
    tls: bool = False
    """Between clients and HAProxy."""
    reload_overlap: float = 0.0
    """Share of the tunnels that lives on in old processes while the new one is full again."""
    reconnect_window_ns: int = 30 * NS_PER_S
    """Over so long clients spread their coming back when all were cut at once."""


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """What HAProxy and the kernel need for it."""

    release: str
    """``3.2``: decides how long half-open tunnels are held."""
    base_bytes: int
    """HAProxy's resident memory before its first tunnel, one thread."""
    tunnel_bytes: int
    """HAProxy's resident memory for an idle tunnel without TLS."""
    thread_bytes: int = 300_000
    """For each further thread."""
    slot_bytes: int = 140
    """For each of maxconn, taken or not: its table of descriptors."""
    busy_bytes: int = 2 * 16_384
    """``2 * tune.bufsize``, which a tunnel with data in both directions holds on top."""
    tls_bytes: int = 50_000
    """In the field (haproxy#1548); 15 to 25 KB were measured here with TLS 1.3 on 2.6 and 3.2."""
    socket_bytes: int = SOCKET_BYTES
    """The kernel's, for each of a tunnel's two."""
    handshake_s: float = 170e-6
    """CPU for an opening with its log line: measured 40 us (back to back) to 170 us (one by one)."""
    tls_handshake_s: float = 1.2e-3
    """For a full TLS 1.3 handshake, measured one by one."""
    message_s: float = 8e-6
    """CPU for a message in one direction: 15 to 16 us for an echo (field.md)."""
    tls_message_s: float = 7e-6
    """TLS on top: 28 us became 42 us for an echo."""
    origin: str = "measured on wsload's own machine"
    """Where the figures come from."""


RELEASES = {
    "2.6": Costs(release="2.6", base_bytes=14_400_000, tunnel_bytes=6_320),
    "3.0": Costs(release="3.0", base_bytes=19_100_000, tunnel_bytes=6_370),
    "3.2": Costs(release="3.2", base_bytes=23_300_000, tunnel_bytes=6_670),
}
"""9,000 idle clear-text tunnels with a log line each, on 2.6.12, 3.0.11 and 3.2.26. Without any log a tunnel
costs 4.7 KB: HAProxy keeps the request's line for the log until the tunnel ends."""


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One HAProxy host with one HAProxy process; None where a limit is not known."""

    memory_bytes: int | None = None
    nofile: int | None = None
    """Descriptor limit of HAProxy's process."""
    file_max: int | None = None
    """fs.file-max."""
    cores: int | None = None
    threads: int = 1
    """``nbthread``."""
    maxconn: int | None = None
    """As configured; None: what the answer proposes."""
    binds: int = 1
    """Addresses that HAProxy listens on."""
    checks: int = 0
    """Servers with a health check."""
    sources: int = 1
    """Addresses that HAProxy connects to backends from."""
    backends: int = 1
    """Backend addresses, ip:port."""
    ports: int = PORTS_PER_PAIR
    """Local ports for each source and backend address."""
    conntrack: int | None = None
    """nf_conntrack_max; None: not known, or not loaded."""
    somaxconn: int = SOMAXCONN
    accept_per_s: float | None = None
    """Openings a second; None: what CPU allows."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """All of it."""

    fleet: Fleet
    costs: Costs = RELEASES["3.2"]
    node: Node = Node()
    nodes: int | None = None
    """None: as many as needed."""
    spare: int = 0
    """Nodes that may be out while the rest carries everything."""
    reserve: float = 0.2
    """Share of each limit that stays free."""
