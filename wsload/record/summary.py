"""What stands in ``summary.json`` and ``attribution.json``: a run's results, ready to be read by a script."""

from typing import Any

import msgspec


class SloRow(msgspec.Struct):
    """One SLO's result. ``value`` is in ms for times, a share for rates; None where nothing was measured."""

    metric: str
    assertion: str
    value: float | None
    passed: bool
    note: str = ""
    """Why there is no value; empty otherwise."""


class VerdictPart(msgspec.Struct):
    """``verdict`` of ``summary.json``."""

    slo: str
    validity: str
    reasons: list[str]
    slo_rows: list[SloRow]


class TunnelsPart(msgspec.Struct):
    """``tunnels`` of ``summary.json``; ``held`` are those open at the end of the hold."""

    planned: int
    attempted: int
    opened: int
    failed: int
    peak: int
    held: int
    held_by_cohort: dict[str, int]
    planned_by_cohort: dict[str, int]


class Plateau(msgspec.Struct, kw_only=True):
    """One level of a search for capacity. Figures are of the judged part, means unless they say otherwise.

    ``slo_rows`` are judged over it, but handshakes over the whole plateau, in which its arrivals are.
    """

    level: int
    """Tunnels offered."""
    opened_s: float
    """When the level was first offered, in seconds since the run's start; likewise the next two."""
    judged_s: float
    end_s: float
    live: float
    """Open tunnels, as the clients know them."""
    slots: float = 0.0
    """In use in HAProxy's frontend; 0 without HAProxy, as the next three."""
    ghosts: float = 0.0
    """Slots without a live tunnel."""
    peak_slots: int = 0
    """Over the whole plateau."""
    maxconn: int = 0
    cuts_per_hour: float = 0.0
    """Disconnects that no plan asked for."""
    handshakes_per_s: float = 0.0
    """Openings begun."""
    failed: int = 0
    """Handshakes that failed in the whole plateau."""
    driver_cpu: float = 0.0
    """The busiest worker's share of a core."""
    haproxy_cpu: float = 0.0
    """The busiest HAProxy process's share of a core, and likewise the backend's."""
    backend_cpu: float = 0.0
    lag_p99_ms: float | None = None
    allocations_failed: int = 0
    """That HAProxy was refused in the whole plateau; known once the run is over, as a HAProxy without memory
    does not answer."""
    steady: bool = True
    """Whether slots (or live tunnels) no longer rose or fell."""
    passed: bool = False
    slo_rows: list[SloRow] = []
    limit: str = ""
    """What bound: a name of :class:`wsload.record.outcome.Limit`; empty where it passed."""
    evidence: str = ""


class CapacityResult(msgspec.Struct, kw_only=True):
    """``capacity`` of ``summary.json``: the knee of a search."""

    capacity: float
    """Live tunnels at the highest level that passed; 0 where none did."""
    level: int
    first_failed: int | None
    """The lowest level above it that failed; None: the search's highest level passed."""
    limit: str
    """What bound at ``first_failed``, and the evidence for it; empty where nothing did."""
    evidence: str
    live_at_limit: float
    """Live tunnels at the highest level where nothing broke the SLO but cuts by a timer, which do not
    depend on the level; the same as ``capacity`` where those did not."""
    plateaus: list[Plateau]
    held: str = ""
    """How long each level was held, and why, in words."""


class SlotLedger(msgspec.Struct):
    """``slot_ledger`` of ``summary.json``: who held HAProxy's slots. Figures are those of the hold's last
    sample, unless they say otherwise; the parts are those of ``layout.LEDGER_COLUMNS``."""

    samples: int
    slots: int
    live: int
    ghosts: int
    half_open: int
    half_closed: int
    peak_ghosts: int
    unexplained_share: float
    """Of the slots in use: absolute differences, over all samples of the hold."""
    unexplained_most: int
    """The largest difference, in slots."""


class KernelPart(msgspec.Struct):
    """``kernel`` of ``summary.json``: by how much the counters of :mod:`wsload.record.kernel` rose.

    They count for everybody in the host's network namespace. Empty where the system does not offer them.
    """

    counters: dict[str, int]
    """From the run's start to its end."""
    hold: dict[str, int]
    """In the hold, to the interval."""


class Completeness(msgspec.Struct):
    """How whole the evidence is: what ended, what was logged of it, and what found its counterpart."""

    ended: int = 0
    """Tunnels and failed handshakes that reached HAProxy, as the clients know them."""
    log_lines: int = 0
    matched: int = 0
    without_line: int = 0
    """Ended, and no line of the log is theirs."""
    without_end: int = 0
    """Lines of tunnels that no client knows of."""
    dropped: int = 0
    """Lines that HAProxy or our receiver says are lost."""
    unread: int = 0
    """Lines of a log that could not be understood."""
    backend_records: int = 0
    backend_matched: int = 0


class Attribution(msgspec.Struct):
    """``attribution.json``: what the evidence came to."""

    completeness: Completeness
    findings: list[str] = []
    """Fixed intervals found, a sentence each."""
    handshake_causes: dict[str, int] = {}
    """Cause -> failed handshakes."""


class DoubtfulSpan(msgspec.Struct):
    """One of ``doubts`` of ``summary.json``: adjacent intervals with the same grade for the same doubts."""

    from_s: float
    """Start of its first interval, in seconds since the run's start."""
    to_s: float
    """End of its last one."""
    validity: str
    """``suspect`` or ``invalid`` (:class:`wsload.record.outcome.Validity`)."""
    doubts: list[str]
    """Names of :class:`wsload.record.outcome.Doubt`, the gravest first."""
    reasons: list[str]
    """A sentence for each doubt, with the span's worst figure."""


class IntervalsPart(msgspec.Struct):
    """``intervals`` of ``summary.json``: how many there were of each grade."""

    judged: int = 0
    """Intervals of ramp and hold; the drain's are not judged."""
    suspect: int = 0
    invalid: int = 0
    left_out: int = 0
    """Invalid intervals of the hold, whose latencies and rates the SLOs leave out."""


class Summary(msgspec.Struct):
    """``summary.json`` (formats.md). ``metrics`` is metric -> cohort -> statistics in ms, of the hold
    (``connect``, ``upgrade`` and ``handshake``: of the whole run)."""

    schema: str
    title: str
    started: str
    duration_s: float
    partial: bool
    verdict: VerdictPart
    tunnels: TunnelsPart
    metrics: dict[str, dict[str, dict[str, Any]]]
    counters: dict[str, dict[str, int]]
    disconnects: dict[str, dict[str, int]]
    handshake_failures: dict[str, int]
    haproxy: dict[str, Any]
    driver: dict[str, Any]
    backend: dict[str, Any]
    via: str = "haproxy"
    settings: dict[str, Any] = {}
    """``RunInfo.settings``: what sets this run apart from its profile."""
    findings: list[str] = []
    """Fixed intervals at which tunnels ended, a sentence each."""
    handshake_causes: dict[str, int] = {}
    evidence: Completeness | None = None
    capacity: CapacityResult | None = None
    """None where the profile does not search for it."""
    slot_ledger: SlotLedger | None = None
    """None where no HAProxy was sampled in the hold."""
    cores: str = ""
    """Who shared which cores, in words; empty in results of earlier versions."""
    kernel: KernelPart | None = None
    """None in results of earlier versions."""
    hold: dict[str, Any] = {}
    """The hold alone: ``seconds`` measured, and ``counters`` as above (``received`` there are its echoes);
    ``left_out_s`` of them lie in invalid intervals, where there are any."""
    doubts: list[DoubtfulSpan] = []
    """In the order of time; valid intervals are not listed. Empty in results of earlier versions."""
    intervals: IntervalsPart = msgspec.field(default_factory=IntervalsPart)
