"""What one node needs against what it has: a table of rules, each a few lines of arithmetic. Pure."""

import math
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from wsload.analysis.sizing.question import Costs, Fleet, Node, Question
from wsload.analysis.sizing.slots import Slots, slots_of
from wsload.plan.preflight import ACCEPT_DELAY_S
from wsload.units import NS_PER_S

OWN_DESCRIPTORS = 20
THREAD_DESCRIPTORS = 3
"""``Maxsock = 2 maxconn + 20 + 3 nbthread + listeners + checks``: the same on 2.6.12, 3.0.11 and 3.2.26; the
stats socket is a listener too."""
STATS_SOCKETS = 1
_MAXCONN_STEP = 100

HOST_DESCRIPTORS = "descriptors of the node"
SOURCE_PORTS = "source ports toward the backends"
CONNTRACK = "conntrack entries"
BACKLOG = "backlog when all come back"
"""Names of rows that have lines to paste."""


class Constraint(msgspec.Struct, frozen=True, kw_only=True):
    """One need of a node against one limit."""

    name: str
    needed: float
    available: float | None
    """None where it is not known: then nothing is judged."""
    unit: str
    """``bytes``, ``cores``, ``1/s``, or what is counted."""
    reserve: float = 0.0
    """Share of the limit that must stay free."""
    remedy: str = ""
    shown_only: bool = False
    """Not judged: a part of the row below it, or a limit that the answer proposes itself."""

    @property
    def is_judged(self) -> bool:
        """Whether there is a limit to judge by."""
        return self.available is not None and not self.shown_only

    @property
    def utilisation(self) -> float | None:
        """Needed over available."""
        if self.available is None:
            return None
        return self.needed / self.available if self.available else math.inf

    @property
    def ok(self) -> bool:
        """Enough is there, the reserve aside."""
        return not self.is_judged or self.strain <= 1 + 1e-9

    @property
    def strain(self) -> float:
        """Needed over what may be used: above 1 it does not fit; the largest of a node binds."""
        used = self.utilisation
        return 0.0 if used is None or self.shown_only else used / (1 - self.reserve)


class Load(NamedTuple):
    """One node's share of the question."""

    question: Question
    slots: Slots
    maxconn: int

    @property
    def fleet(self) -> Fleet:
        """The whole fleet's properties; its number of tunnels is not this node's."""
        return self.question.fleet

    @property
    def costs(self) -> Costs:
        """Per tunnel and message."""
        return self.question.costs

    @property
    def node(self) -> Node:
        """Its limits."""
        return self.question.node

    @property
    def overlapping(self) -> float:
        """Connections in all of the node's HAProxy processes while an old one lives on after a reload."""
        return self.slots.total * (1 + self.fleet.reload_overlap)


def load_of(question: Question, tunnels: int) -> Load:
    """A node with so many live tunnels, and its maxconn: as given, or what leaves the reserve free."""
    slots = slots_of(tunnels, question.fleet, question.costs.release)
    proposed = math.ceil(slots.total / (1 - question.reserve) / _MAXCONN_STEP) * _MAXCONN_STEP
    return Load(question, slots, question.node.maxconn or proposed)


def constraints(load: Load) -> list[Constraint]:
    """Every row of the table."""
    return [rule(load) for rule in RULES]


def max_sockets(load: Load) -> int:
    """HAProxy's Maxsock, and the ``Ulimit-n`` that it asks for: exact."""
    node = load.node
    return (
        2 * load.maxconn
        + OWN_DESCRIPTORS
        + THREAD_DESCRIPTORS * node.threads
        + node.binds
        + STATS_SOCKETS
        + node.checks
    )


def haproxy_bytes(load: Load) -> float:
    """Resident memory of HAProxy, of an old process after a reload too."""
    fleet, costs = load.fleet, load.costs
    own = costs.base_bytes + costs.thread_bytes * (load.node.threads - 1) + costs.slot_bytes * load.maxconn
    tunnel = costs.tunnel_bytes + (costs.tls_bytes if fleet.tls else 0)
    busy = load.slots.tunnels * fleet.active_share * costs.busy_bytes
    return own * (2 if fleet.reload_overlap else 1) + load.overlapping * tunnel + busy


def kernel_bytes(load: Load) -> float:
    """Two sockets for each slot."""
    return load.overlapping * 2 * load.costs.socket_bytes


def openings_per_s(load: Load) -> float:
    """In steady state: who vanished or left comes back."""
    fleet = load.fleet
    leaving = NS_PER_S / fleet.session_ns if fleet.session_ns else 0.0
    return load.slots.tunnels * (fleet.vanish_per_s + fleet.half_close_per_s + leaving)


def messages_per_s(load: Load) -> float:
    """Through HAProxy, one way; a ping and its pong are two."""
    fleet = load.fleet
    pings = 2 * NS_PER_S / fleet.ping_every_ns if fleet.ping_every_ns else 0.0
    return load.slots.tunnels * (fleet.active_share * fleet.messages_per_s + pings)


def accepts_per_s(load: Load) -> float:
    """Openings a second that HAProxy can take, at full CPU."""
    return load.node.accept_per_s or _threads(load) / _handshake_s(load)


def storm_per_s(load: Load) -> float:
    """Openings a second when every client comes back at once."""
    return load.slots.tunnels * NS_PER_S / load.fleet.reconnect_window_ns


def recovery_s(load: Load) -> float:
    """Until all are back: the clients' window, or longer where HAProxy is slower."""
    return load.slots.tunnels / min(storm_per_s(load), accepts_per_s(load))


def _threads(load: Load) -> int:
    return min(load.node.threads, load.node.cores or load.node.threads)


def _handshake_s(load: Load) -> float:
    return load.costs.handshake_s + (load.costs.tls_handshake_s if load.fleet.tls else 0.0)


def _slots(load: Load) -> Constraint:
    return Constraint(
        name="slots (maxconn)",
        needed=load.slots.total,
        available=load.maxconn,
        unit="slots",
        reserve=load.question.reserve,
        shown_only=load.node.maxconn is None,
        remedy=f"a maxconn of {math.ceil(load.slots.total / (1 - load.question.reserve))}, or more nodes",
    )


def _descriptors(load: Load) -> Constraint:
    """The reserve is in maxconn already."""
    return Constraint(
        name="descriptors of HAProxy",
        needed=max_sockets(load),
        available=load.node.nofile,
        unit="descriptors",
        remedy=f"LimitNOFILE={max_sockets(load)}, or more nodes",
    )


def _host_descriptors(load: Load) -> Constraint:
    own = max_sockets(load) - 2 * load.maxconn
    needed = math.ceil(2 * load.overlapping) + own * (2 if load.fleet.reload_overlap else 1)
    return Constraint(
        name=HOST_DESCRIPTORS,
        needed=needed,
        available=load.node.file_max,
        unit="descriptors",
        reserve=load.question.reserve,
        remedy=f"sysctl -w fs.file-max={math.ceil(needed / (1 - load.question.reserve))}",
    )


def _haproxy_memory(load: Load) -> Constraint:
    return Constraint(
        name="memory: HAProxy",
        needed=haproxy_bytes(load),
        available=load.node.memory_bytes,
        unit="bytes",
        shown_only=True,
    )


def _kernel_memory(load: Load) -> Constraint:
    return Constraint(
        name="memory: the kernel's sockets",
        needed=kernel_bytes(load),
        available=load.node.memory_bytes,
        unit="bytes",
        shown_only=True,
    )


def _memory(load: Load) -> Constraint:
    return Constraint(
        name="memory",
        needed=haproxy_bytes(load) + kernel_bytes(load),
        available=load.node.memory_bytes,
        unit="bytes",
        reserve=load.question.reserve,
        remedy="more memory, or more nodes",
    )


def _source_ports(load: Load) -> Constraint:
    node = load.node
    return Constraint(
        name=SOURCE_PORTS,
        needed=math.ceil(load.overlapping),
        available=node.sources * node.backends * node.ports,
        unit="ports",
        reserve=load.question.reserve,
        remedy="more backend addresses (--backends), more source addresses (--sources, and `source` on the "
        "server lines), or a wider ip_local_port_range (--ports)",
    )


def _conntrack(load: Load) -> Constraint:
    needed = math.ceil(2 * load.overlapping)
    return Constraint(
        name=CONNTRACK,
        needed=needed,
        available=load.node.conntrack,
        unit="entries",
        reserve=load.question.reserve,
        remedy="sysctl -w net.netfilter.nf_conntrack_max="
        f"{math.ceil(needed / (1 - load.question.reserve))}, or no tracking of these ports",
    )


def _cpu(load: Load) -> Constraint:
    message_s = load.costs.message_s + (load.costs.tls_message_s if load.fleet.tls else 0.0)
    return Constraint(
        name="CPU for messages and openings",
        needed=messages_per_s(load) * message_s + openings_per_s(load) * _handshake_s(load),
        available=_threads(load),
        unit="cores",
        reserve=load.question.reserve,
        remedy="more threads on more cores (--threads, --cores), or more nodes",
    )


def _storm(load: Load) -> Constraint:
    return Constraint(
        name="openings when all come back",
        needed=storm_per_s(load),
        available=accepts_per_s(load),
        unit="1/s",
        reserve=load.question.reserve,
        remedy="a longer window of reconnects (jitter), more threads, or more nodes",
    )


def _backlog(load: Load) -> Constraint:
    """What waits while HAProxy is busy for a moment; all that it cannot take, where it is too slow."""
    storm, accepts = storm_per_s(load), accepts_per_s(load)
    window_s = load.fleet.reconnect_window_ns / NS_PER_S
    needed = math.ceil(max(storm * ACCEPT_DELAY_S, (storm - accepts) * window_s))
    return Constraint(
        name=BACKLOG,
        needed=needed,
        available=load.node.somaxconn,
        unit="connections",
        reserve=load.question.reserve,
        remedy=f"sysctl -w net.core.somaxconn={math.ceil(needed / (1 - load.question.reserve))}, or a longer "
        "window of reconnects (jitter)",
    )


RULES: tuple[Callable[[Load], Constraint], ...] = (
    _slots,
    _descriptors,
    _host_descriptors,
    _haproxy_memory,
    _kernel_memory,
    _memory,
    _source_ports,
    _conntrack,
    _cpu,
    _storm,
    _backlog,
)
