"""Closed sets: phases, what was seen on the wire, and why a tunnel ended."""

from enum import StrEnum


class Phase(StrEnum):
    """Where in the run an event belongs: by its intended time, not by when it was noticed."""

    OPEN = "open"
    HOLD = "hold"
    DRAIN = "drain"


class Wire(StrEnum):
    """What the client saw on the wire when its tunnel ended."""

    FIN = "fin"
    RST = "rst"
    CLOSE = "close"
    """A close frame arrived (its code and reason are recorded), whatever TCP did afterwards."""
    TIMEOUT = "timeout"
    """Nothing: our own bound on the closing handshake ran out and we aborted."""
    VANISHED = "vanished"
    """The plan made the client vanish without FIN or RST; it saw nothing more."""
    UNSEEN = ""
    """The worker that held the tunnel is gone; nobody saw."""


class PlanAct(StrEnum):
    """The last thing the plan did to a tunnel before its end."""

    NOTHING = ""
    CLOSE = "close"
    """Sent a close frame, in the drain."""
    HALF_CLOSE = "half-close"
    STALL = "stall"
    VANISH = "vanish"
    RESET = "reset"


class Cause(StrEnum):
    """Our verdict on why a tunnel ended, or never opened."""

    PLANNED = "planned"
    HAPROXY_TUNNEL_TIMEOUT = "haproxy_tunnel_timeout"
    HAPROXY_CLIENT_TIMEOUT = "haproxy_client_timeout"
    HAPROXY_SERVER_TIMEOUT = "haproxy_server_timeout"
    HAPROXY_CLIENT_FIN = "haproxy_client_fin"
    HAPROXY_SERVER_FIN = "haproxy_server_fin"
    HAPROXY_KILLED = "haproxy_killed"
    """By an admin, hard-stop-after, a server marked down, or the process's own end."""
    BACKEND_CLOSE = "backend_close"
    BACKEND_FIN = "backend_fin"
    BACKEND_RESET = "backend_reset"
    BACKEND_IDLE_TIMEOUT = "backend_idle_timeout"
    CLIENT_RESET = "client_reset"
    PATH_IDLE_TIMEOUT = "path_idle_timeout"
    """Something on the way cuts at a fixed idle time that no known timer explains."""
    PEER_FIN = "peer_fin"
    """The far side sent FIN; no evidence says which part of it."""
    PEER_RESET = "peer_reset"
    GENERATOR_LOST = "generator_lost"
    # Of tunnels that never opened.
    REFUSED_STATUS = "refused_status"
    """An HTTP status other than 101; the status itself is the failure's reason."""
    QUEUE_TIMEOUT = "queue_timeout"
    SERVER_DOWN = "server_down"
    BACKEND_REFUSED = "backend_refused"
    BACKEND_TIMEOUT = "backend_timeout"
    SOURCE_PORTS = "source_ports"
    """HAProxy found no free local port toward the backend."""
    BACKLOG_WAIT = "backlog_wait"
    """HAProxy was full: the kernel accepted, and nobody spoke."""
    HANDSHAKE_TIMEOUT = "handshake_timeout"
    HANDSHAKE_FAILED = "handshake_failed"
    """Refused, reset or cut before an answer; the failure's reason says how."""
    UNKNOWN = "unknown"


NOT_CUTS = frozenset({Cause.PLANNED, Cause.GENERATOR_LOST})
"""Ends that nobody but the plan or wsload itself brought about."""


class Limit(StrEnum):
    """What keeps a level of tunnels from being held within the SLO."""

    MAXCONN = "maxconn"
    """HAProxy's slots."""
    DESCRIPTORS = "descriptors"
    """HAProxy's slots, which it worked out from its descriptor limit."""
    MEMORY = "memory"
    """HAProxy's: it was refused some."""
    HAPROXY_CPU = "haproxy_cpu"
    SOURCE_PORTS = "source_ports"
    """Of HAProxy toward the backend."""
    BACKEND = "backend"
    TIMER = "timer"
    """Cuts by an idle timer, at any level."""
    GENERATOR = "generator"
    """wsload itself: the result is not valid."""
    UNKNOWN = "unknown"


class Confidence(StrEnum):
    """How sure the verdict is."""

    CERTAIN = "certain"
    LIKELY = "likely"
    GUESS = "guess"


class Verdict(StrEnum):
    """Of all SLOs together."""

    PASSED = "passed"
    FAILED = "failed"
    NONE = "none"


class Validity(StrEnum):
    """Whether the run may be believed."""

    VALID = "valid"
    SUSPECT = "suspect"
    INVALID = "invalid"


class Doubt(StrEnum):
    """Why an interval may not be believed: what the generator or the measurement did wrong in it."""

    LAG = "lag"
    """Messages or openings were later than the plan's limit allows."""
    WORKER_CPU = "worker_cpu"
    """A driver worker used nearly a whole core."""
    BEHIND = "behind"
    """An opening or message ran behind its schedule."""
    LOST_LOGS = "lost_logs"
    """Lines of HAProxy's log were dropped."""
    WORKER_LOST = "worker_lost"
    """A driver worker ended, or told nothing."""
    NO_PORT = "no_port"
    """The driver had no free local port."""
    NO_DESCRIPTOR = "no_descriptor"
    """The driver had no free file descriptor."""
    CONNTRACK = "conntrack"
    """The kernel's table of tracked connections was full, or nearly."""
    HOST_CPU = "host_cpu"
    """Cores that the driver shares with the system under test had nothing left."""
    CLOCK = "clock"
    """The host was suspended, or its wall clock was set."""
    SWAP = "swap"
    """Memory was moved to or from swap."""
