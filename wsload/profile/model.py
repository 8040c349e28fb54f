"""What a profile says, parsed once and frozen: durations in ns, sizes in bytes, rates per second."""

import math
from enum import StrEnum

import msgspec

from wsload.units import NS_PER_S, NS_PER_US


class Via(StrEnum):
    """What stands between the driver and the backend."""

    HAPROXY = "haproxy"
    DIRECT = "direct"
    URL = "url"


class BackendMode(StrEnum):
    """Who answers behind HAProxy."""

    EMBEDDED = "embedded"
    EXTERNAL = "external"


class Reply(StrEnum):
    """What the embedded backend does with messages."""

    ECHO = "echo"
    SINK = "sink"
    PUSH = "push"


class EndsWith(StrEnum):
    """How the embedded backend ends a tunnel whose ``ends_after`` has run out."""

    CLOSE = "close"
    """A close frame, then FIN."""
    FIN = "fin"
    """FIN alone; then closed like any other."""
    RST = "rst"
    HALF_OPEN = "half-open"
    """FIN alone, and its own side is never closed before the peer's is."""


class Arrivals(StrEnum):
    """How starts or messages are spread over time."""

    EVEN = "even"
    POISSON = "poisson"


class Traffic(StrEnum):
    """What the tunnels of a cohort do once open."""

    IDLE = "idle"
    CHATTY = "chatty"
    PINGED = "pinged"
    QUIET = "quiet"
    """Sends a message now and then, with gaps of a stated distribution."""
    HALF_CLOSED = "half-closed"
    """Shuts its write side and listens on."""
    STALLED = "stalled"
    """Stops reading, whatever comes."""
    GHOST = "ghost"
    """Vanishes without FIN or RST, as a phone does that leaves its network."""
    RESET = "reset"
    """Resets its connection."""


class Spread(StrEnum):
    """Kinds of :class:`Distribution`."""

    FIXED = "fixed"
    EXPONENTIAL = "exp"
    LOGNORMAL = "lognormal"
    TABLE = "table"


class Reconnect(StrEnum):
    """When a client comes back whose tunnel was cut."""

    NEVER = "never"
    WHEN_DUE = "when-due"
    """When it next has something to send; the new tunnel's opening stands for that message."""


class Match(StrEnum):
    """How a reply finds its message: by the stamp in its payload, by order, or not at all."""

    STAMP = "stamp"
    FIFO = "fifo"
    NONE = "none"


class Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Frozen, keyword-only base of the profile's parts."""


class Distribution(Struct, frozen=True, kw_only=True):
    """How lengths of time are spread: ``fixed(20s)``, ``exp(20s)``, ``lognormal(20s, 1.2)`` or a table.

    ``scale_ns`` is the value of a fixed one, the mean of an exponential, the median of a lognormal (whose
    natural logarithm has the standard deviation ``sigma``). A table's ``values_ns`` are drawn with equal
    chances: a user's own log, ascending.
    """

    spread: Spread = Spread.EXPONENTIAL
    scale_ns: int = 20 * NS_PER_S
    sigma: float = 0.0
    values_ns: tuple[int, ...] = ()

    @property
    def mean_ns(self) -> float:
        """The mean length."""
        if self.spread is Spread.TABLE:
            return math.fsum(self.values_ns) / len(self.values_ns)
        if self.spread is Spread.LOGNORMAL:
            return self.scale_ns * math.exp(self.sigma**2 / 2)
        return float(self.scale_ns)

    @property
    def longest_ns(self) -> float:
        """No length is above it; infinite where any may come."""
        if self.spread is Spread.TABLE:
            return float(self.values_ns[-1])
        return float(self.scale_ns) if self.spread is Spread.FIXED else math.inf


class Target(Struct, frozen=True, kw_only=True):
    """Where tunnels go. ``urls`` is empty unless ``via`` is ``url``."""

    via: Via = Via.HAPROXY
    urls: tuple[str, ...] = ()
    path: str = "/ws"
    headers: dict[str, str] = {}
    subprotocols: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    """Source addresses, ranges and networks as written; empty for "auto"."""


TUNNEL_TIMEOUT_HEADER = "X-Wsload-Tunnel-Timeout"
"""With it a request asks the managed HAProxy for a ``timeout tunnel`` of its own, in ms."""

TIMEOUT_NAMES = (
    "connect",
    "client",
    "server",
    "tunnel",
    "client-fin",
    "server-fin",
    "queue",
    "http-request",
    "http-keep-alive",
    "hard-stop-after",
)
"""HAProxy's own names. All but ``hard-stop-after`` (a global setting) are ``timeout NAME`` lines."""

DEFAULT_TIMEOUTS_NS: dict[str, int] = {
    "connect": 5 * NS_PER_S,
    "client": 30 * NS_PER_S,
    "server": 30 * NS_PER_S,
    "tunnel": 3600 * NS_PER_S,
}


class Haproxy(Struct, frozen=True, kw_only=True):
    """The managed HAProxy. ``port`` None is "auto"; ``maxconn`` is for each of ``processes``."""

    binary: str = "haproxy"
    port: int | None = None
    maxconn: int = 0
    """Where a profile names none, :func:`wsload.profile.load.load_profile` sets what the load needs."""
    threads: int = 1
    processes: int = 1
    source_ports: tuple[int, int] | None = None
    """First and last local port toward the backend (``source IP:FIRST-LAST``); None: the kernel's."""
    nofile: int | None = None
    """Descriptor limit of each process; None: ours. Where the profile names no ``maxconn``, HAProxy works
    it out from this limit, and ``maxconn`` is 0 here."""
    memory_bytes: int | None = None
    """What each process may allocate (RLIMIT_DATA); None: no limit."""
    cpus: tuple[int, ...] = ()
    """Numbers of the cores that its processes are kept to; empty: any, or what :attr:`Load.pin` gives."""
    timeouts_ns: dict[str, int] = {}
    """HAProxy's name -> ns, in the order of :data:`TIMEOUT_NAMES`. Defaults are filled in, and a
    timeout that the profile sets to ``"none"`` is absent."""


class Backend(Struct, frozen=True, kw_only=True):
    """The backend. ``port`` None is "auto"; a duration of 0 is never. Shares are 0..1 and seeded."""

    mode: BackendMode = BackendMode.EMBEDDED
    servers: tuple[str, ...] = ()
    port: int | None = None
    processes: int = 1
    reply: Reply = Reply.ECHO
    push_rate_per_s: float = 1.0
    push_payload_bytes: int = 64
    idle_close_ns: int = 0
    idle_close_share: float = 1.0
    """Of its tunnels, those that it closes so."""
    ends_after_ns: int = 0
    """Age, from the 101 on, at which it ends :attr:`ends_share` of its tunnels."""
    ends_with: EndsWith = EndsWith.CLOSE
    ends_share: float = 1.0
    close_code: int = 1000
    """Of :attr:`EndsWith.CLOSE`."""
    ignore_fin: bool = False
    """Keep a tunnel open, and go on pushing, after the peer's FIN."""
    upgrade_delay_ns: int = 0
    """How long a 101 is held back."""
    upgrade_missing_share: float = 0.0
    """Of the upgrade requests; these are never answered. Disjoint from :attr:`refuse_share`."""
    refuse_share: float = 0.0
    refuse_status: int = 503


class Load(Struct, frozen=True, kw_only=True):
    """How many tunnels, and when. Phases follow each other: ramp (called open in data), hold, drain."""

    tunnels: int = 1000
    ramp_ns: int = 10 * NS_PER_S
    arrivals: Arrivals = Arrivals.EVEN
    hold_ns: int = 60 * NS_PER_S
    drain_ns: int = 5 * NS_PER_S
    workers: int | None = None
    """Driver processes; None is "auto"."""
    interval_ns: int = NS_PER_S
    handshake_timeout_ns: int = 10 * NS_PER_S
    seed: int = 1
    pin: bool = False
    """Give driver, HAProxy and backend cores of their own."""
    lag_limit_ns: int = 50_000_000
    """Generator lag p99 in the hold above which the result is not valid."""
    timer_slack_ns: int = 200 * NS_PER_US
    """Timed wake-ups of a driver worker are at least this far apart: what falls due in between leaves
    together, at most this late. More is cheaper, and shows as lag."""


class Cohort(Struct, frozen=True, kw_only=True):
    """Tunnels that behave alike. ``rate_per_s`` None is "max" (closed loop)."""

    name: str
    share: float = 1.0
    traffic: Traffic = Traffic.IDLE
    rate_per_s: float | None = 1.0
    arrivals: Arrivals = Arrivals.EVEN
    payload_bytes: int = 64
    match: Match = Match.STAMP
    every_ns: int = 20 * NS_PER_S
    after_ns: int = NS_PER_S
    """When, after its planned opening, a half-closed, stalled, ghost or reset tunnel becomes it."""
    gaps: Distribution = Distribution()
    """Of a quiet cohort: between one client's messages."""
    ping_loss: float = 0.0
    """Share of a pinged cohort's pings that are skipped, as if lost on the way."""
    reconnect: Reconnect = Reconnect.NEVER
    vanish_per_s: float = 0.0
    """At this rate each live tunnel becomes a ghost, and a new arrival takes its client's place."""
    session: Distribution | None = None
    """How long a client stays before it leaves politely and a new arrival takes its place; None: for good."""
    tunnel_timeout_ns: int | None = None
    """Asks the managed HAProxy for a ``timeout tunnel`` of the cohort's own; None: the backend's."""

    @property
    def is_closed_loop(self) -> bool:
        """Whether each message waits for the reply to the one before."""
        return self.traffic is Traffic.CHATTY and self.rate_per_s is None

    @property
    def has_turnover(self) -> bool:
        """Whether its clients are replaced while the run lasts."""
        return self.vanish_per_s > 0 or self.session is not None


class Capacity(Struct, frozen=True, kw_only=True):
    """The search for the most live tunnels within the SLO: which levels are offered, and for how long.

    ``step`` None bisects between ``least`` and ``most`` down to ``resolution``; else levels rise by it until
    one fails. ``plateau_ns`` None holds each level as long as the timers in force need, and then for
    ``judge_ns``, the last part of every plateau; None: five seconds, or five intervals if those are longer.
    """

    least: int
    most: int
    step: int | None = None
    resolution: int = 1
    plateau_ns: int | None = None
    judge_ns: int | None = None


class Aggregation(StrEnum):
    """k6's aggregations; PERCENTILE carries its number in :attr:`Slo.percentile`."""

    COUNT = "count"
    RATE = "rate"
    VALUE = "value"
    AVG = "avg"
    MIN = "min"
    MAX = "max"
    MED = "med"
    PERCENTILE = "p"


class Slo(Struct, frozen=True, kw_only=True):
    """One stated bound: ``aggregation(metric{cohort}) operator bound``.

    ``bound`` is in ns for histograms of time, a share (0..1) for ``rate``, a plain number for counts.
    """

    metric: str
    cohort: str | None
    aggregation: Aggregation
    percentile: float | None
    operator: str
    bound: float
    text: str
    """The assertion as written, ``p(99)<50ms``."""


CAUSES = (
    "haproxy_tunnel_timeout",
    "haproxy_client_timeout",
    "haproxy_server_timeout",
    "haproxy_client_fin",
    "haproxy_server_fin",
    "haproxy_killed",
    "backend_close",
    "backend_fin",
    "backend_reset",
    "backend_idle_timeout",
    "client_reset",
    "path_idle_timeout",
    "peer_fin",
    "peer_reset",
)
"""Causes an expectation may name; those of :class:`wsload.record.outcome.Cause` that end an open tunnel."""


class Expectation(Struct, frozen=True, kw_only=True):
    """What has to become of a cohort: either ``survives``, or dies ``dies_at_ns`` after its last byte.

    ``share`` of the cohort's tunnels must do so.
    """

    cohort: str
    dies_at_ns: int | None = None
    within_ns: int = 0
    cause: str | None = None
    survives: bool = False
    share: float = 1.0


class Profile(Struct, frozen=True, kw_only=True):
    """A whole profile."""

    title: str
    description: str = ""
    target: Target = Target()
    haproxy: Haproxy = Haproxy()
    backend: Backend = Backend()
    load: Load = Load()
    cohorts: tuple[Cohort, ...] = (Cohort(name="idle"),)
    capacity: Capacity | None = None
    """Present: tunnels are offered level by level instead of all at once."""
    slos: tuple[Slo, ...] = ()
    expectations: tuple[Expectation, ...] = ()


HISTOGRAM_METRICS = (
    "connect",
    "upgrade",
    "handshake",
    "echo_corrected",
    "echo_service",
    "ping_rtt",
    "lag",
    "tunnel_age",
    "idle_at_disconnect",
)
"""Metrics that are histograms of time."""

COUNTER_METRICS = (
    "opened",
    "handshake_failed",
    "sent",
    "received",
    "bytes_sent",
    "bytes_received",
    "disconnect",
    "disconnect_unexpected",
)
"""Metrics that count. ``rate`` of ``handshake_failed`` is over tunnels attempted, of ``disconnect`` and
``disconnect_unexpected`` over tunnels opened, and of the others per second of hold."""

GAUGE_METRICS = ("open", "connecting")
"""Metrics that are a level; ``value`` is the last one in the hold."""
