"""The result folder's files and what stands in each: the contract between a run and every later view.

History of ``SCHEMA_VERSION`` (stands in ``snapshots.jsonl`` lines and ``summary.json``):
1  first.
"""

from typing import Any

import msgspec

from wsload.record.outcome import Phase

SCHEMA_VERSION = 1
SUMMARY_SCHEMA = f"wsload.summary/{SCHEMA_VERSION}"

PROFILE = "profile.toml"
"""Verbatim; in a campaign's folder that of its cells."""
PLAN = "plan.json"
"""A :class:`RunInfo`."""
ENVIRONMENT = "environment.json"
HAPROXY_CFG = "haproxy.cfg"
SNAPSHOTS = "snapshots.jsonl"
"""An :class:`IntervalLine` each."""
LATENCY_LOG = "latency.hlog"
DISCONNECTS = "disconnects.csv"
HANDSHAKE_FAILURES = "handshake-failures.csv"
HAPROXY_LOG = "haproxy-log.jsonl"
BACKEND_LOG = "backend-log.jsonl"
HAPROXY_STATS = "haproxy-stats.csv"
ACTIONS = "actions.jsonl"
"""An :class:`ActionLine` each; levels of a search for capacity among them."""
KERNEL = "kernel.jsonl"
"""A :class:`KernelLine` each: at the run's start, and whenever a counter has risen by an interval's end."""
HOST = "host.jsonl"
"""A :class:`HostLine` each: at the run's start and end, and once an interval."""

EVIDENCE = "evidence.json"
"""What ``wsload diagnose`` was told; made when the run is over, as all that follows."""
ATTRIBUTION = "attribution.json"
LEDGER = "slot-ledger.csv"
SUMMARY = "summary.json"
PLOTS = "plots"
REPORT = "report.html"

CAMPAIGN = "campaign.toml"
"""In a campaign's folder, as the rest; beside them stand its runs' folders, plots and a page."""
CAMPAIGN_JSON = "campaign.json"
"""Which campaign it is, and a note for each call: which cells ran at once, and why the others did not."""
CAPACITY = "capacity.csv"
RECOMMENDATION = "recommendation.json"
"""The value for ``timeout tunnel``, where the campaign leads to one."""
CONTROL = "control"
"""The folder of the run without HAProxy; ``control,NAME=VALUE`` where there are several."""
ERROR = "error.txt"
"""In a cell's folder: why it has no result."""

DISCONNECT_COLUMNS = (
    "t_s",
    "worker",
    "cohort",
    "tunnel",
    "local_ip",
    "local_port",
    "remote",
    "phase",
    "age_s",
    "idle_rx_s",
    "idle_tx_s",
    "wire",
    "close_code",
    "close_reason",
    "cause",
    "confidence",
    "evidence",
    "plan",
    "termination",
)
"""``termination`` is HAProxy's, of the log line that was joined; empty without one."""

HANDSHAKE_FAILURE_COLUMNS = (
    "t_s",
    "worker",
    "cohort",
    "tunnel",
    "local_ip",
    "local_port",
    "remote",
    "waited_s",
    "reason",
    "cause",
    "confidence",
    "evidence",
)
"""A tunnel that never opened; ``reason`` is the status or word it is counted under."""

HAPROXY_STATS_COLUMNS = (
    "t_s",
    "process",
    "pid",
    "version",
    "curr_conns",
    "slots",
    "maxconn",
    "queue",
    "conn_rate",
    "cum_conns",
    "pool_used_mb",
    "pool_alloc_mb",
    "idle_pct",
    "dropped_logs",
    "cpu_s",
    "rss_bytes",
    "pool_failed",
)
"""``curr_conns``, ``conn_rate`` and ``cum_conns`` are the process's, ``slots`` and ``maxconn`` the WebSocket
frontend's, ``queue`` the servers'; ``cpu_s`` counts since the process started, as ``pool_failed`` does
allocations that were refused to it. Where several runs share the process, connections are the run's own too
(its frontend's); pools, idle share, logs and usage are not."""


LEDGER_COLUMNS = (
    "t_s",
    "phase",
    "live",
    "unaware",
    "half_closed",
    "opening",
    "ghosts",
    "half_open",
    "slots",
    "unexplained",
)
"""Who held HAProxy's slots at a sample of its. ``live`` are open tunnels as the clients know them, among them
those ``half_closed`` (the client has shut its write side) and ``unaware`` (HAProxy has ended it, and the
client has not heard). ``opening``: accepted, no 101 yet. ``half_open``: the client has ended it, HAProxy has
not. ``unexplained`` = slots - (live - unaware + opening + ghosts + half_open)."""


class CohortLine(msgspec.Struct):
    """One cohort in one phase of one interval: counters, and histograms in HdrHistogram's encoding (us)."""

    counters: dict[str, int]
    histograms: dict[str, str]
    over_range: dict[str, int] = {}
    """Histogram -> values above its range, which its encoding does not carry; only those above 0."""


class ProcessLine(msgspec.Struct):
    """CPU since start and resident memory of one process at the interval's end."""

    role: str
    """``driver``, ``haproxy`` or ``backend``."""
    index: int
    cpu_s: float
    rss_bytes: int


class IntervalLine(msgspec.Struct):
    """One line of ``snapshots.jsonl``: all workers merged.

    ``t_s`` is the interval's end, in seconds since the run's start; ``phase`` the one at that moment.
    ``cohorts`` is cohort -> phase -> data; an event is filed under the phase of its intended time.
    """

    v: int
    seq: int
    t_s: float
    phase: Phase
    cohorts: dict[str, dict[Phase, CohortLine]]
    open: dict[str, int]
    connecting: dict[str, int]
    processes: list[ProcessLine]
    behind_ms: float = 0.0
    missing_workers: list[int] = []
    """Workers that sent nothing for this interval."""


class ActionLine(msgspec.Struct):
    """One line of ``actions.jsonl``: what the tool did to the system, or saw happen to it."""

    t_s: float
    action: str
    detail: dict[str, Any] = {}


class KernelLine(msgspec.Struct):
    """One line of ``kernel.jsonl``: the kernel's counters since boot (:mod:`wsload.record.kernel`), of the
    whole network namespace; none where the system does not offer them."""

    t_s: float
    counters: dict[str, int]


class HostLine(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One line of ``host.jsonl``: the host at a moment, for the generator's doubts about itself.

    CPU times, swapped bytes and drops count since boot and are 0 where the system does not offer them.
    """

    t_s: float
    busy_s: float = 0.0
    """CPU seconds of the cores that driver workers may run on, without programs that give way to ours (nice);
    likewise the next two."""
    idle_s: float = 0.0
    stolen_s: float = 0.0
    """Of the busy ones, those that the hypervisor gave to others."""
    swapped_bytes: int = 0
    """Moved to or from swap, of the whole host."""
    conntrack: int = 0
    """Entries in the table of tracked connections; 0 where conntrack is not loaded, as its limit."""
    conntrack_max: int = 0
    conntrack_drops: int = 0
    """Packets and entries dropped as the table was full (a few for other reasons)."""
    suspended_s: float = 0.0
    """How long the host was suspended since the run's start."""
    wall_step_s: float = 0.0
    """By how much the wall clock was set since then."""
    clocksource: str = ""
    lost_logs: int = 0
    """Lines of HAProxy's log that did not fit into our receive buffer, so far."""


BACKEND_IDLE_CLOSE, BACKEND_ENDS_AFTER = "backend-idle-close", "backend-ends-after"
OWN_TIMERS = {
    BACKEND_IDLE_CLOSE: "the backend's idle close",
    BACKEND_ENDS_AFTER: "the backend's ends_after",
}
"""The embedded backend's timers: their names beside HAProxy's, and what to call them."""


class RunInfo(msgspec.Struct):
    """``plan.json``: what the run set out to do, in the words of the profile and resolved numbers."""

    title: str
    started: str
    """UTC, ISO 8601."""
    started_unix_s: float
    """Wall clock at the run's time 0, which joins HAProxy's log."""
    tunnels: int
    cohorts: dict[str, int]
    """Cohort -> planned tunnels."""
    workers: int
    sources: int
    """How many source addresses are used."""
    endpoints: list[str]
    """What tunnels connect to, ``ip:port``."""
    ramp_s: float
    hold_s: float
    drain_s: float
    interval_s: float
    via: str
    timers_ms: dict[str, int]
    """The timers in force, by HAProxy's names; those of :data:`OWN_TIMERS` beside them where set."""
    maxconn: int
    """Slots of all HAProxy processes together; 0 without HAProxy."""
    lag_limit_ms: float
    settings: dict[str, Any] = {}
    """``--set`` overrides as typed: what sets this run apart from its profile."""
    start_monotonic_ns: int = 0
    """Monotonic clock at the run's time 0, which joins the backend's records."""
    haproxy_version: str = ""
    haproxy_sharers: int = 1
    """Runs that used the same HAProxy process at the same time, this one among them: its CPU and memory are
    those of all together. 0 without HAProxy."""
    cohort_timers_ms: dict[str, dict[str, int]] = {}
    """Cohort -> the timers that it has in place of those in ``timers_ms``."""
    beside: list[str] = []
    """The folders of the campaign's runs that were under way at the same time."""

    def timers_of_ms(self, cohort: str) -> dict[str, int]:
        """The timers in force for a cohort."""
        return {**self.timers_ms, **self.cohort_timers_ms.get(cohort, {})}

    def named_timers_ms(self) -> dict[str, int]:
        """All timers in force; a cohort's own as ``tunnel of COHORT``."""
        own = self.cohort_timers_ms.items()
        named = {f"{name} of {cohort}": ms for cohort, each in own for name, ms in each.items()}
        return self.timers_ms | named
