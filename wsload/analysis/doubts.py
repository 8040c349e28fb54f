"""The verdict on each interval: valid, suspect or invalid, and why, in words with the remedy. Pure.

Invalid: what was measured in it is the generator's doing, not the system's. Suspect: it may be.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from wsload.analysis.remedies import (
    BUSY_WORKER,
    FULL_CORES,
    CpuUse,
    Surroundings,
    cores_words,
    make_room,
)
from wsload.plan.preflight import CONNTRACK_SHARE
from wsload.record.outcome import Doubt, Validity
from wsload.units import (
    NS_PER_MS,
    NS_PER_S,
    format_count,
    format_duration,
    format_many,
    format_size,
)

LATE_SHARE = 0.01
"""Share of what is sent in an interval that may be late: its p99 decides."""
LATE_LEAST = 2
"""Of fewer than 100 the p99 is the latest; one alone that is late is the system's scheduler, and no doubt."""
BEHIND_LIMIT_MS = 250.0
"""How late an opening or message may be in an interval without a word; the plan's lag limit, if higher."""
CLOCK_JUMP_S = 0.05
"""What reading two clocks one after the other on a busy host does not explain."""
SWAPPED_BYTES = 2**20
"""In an interval: less is a page or two of some sleeper."""

PORTS_REMEDY = "name more addresses of this host in target.sources, or widen net.ipv4.ip_local_port_range"
CONNTRACK_REMEDY = "raise net.netfilter.nf_conntrack_max, or keep these connections out of it (notrack)"


@dataclass(frozen=True, kw_only=True)
class IntervalFacts:
    """What an interval shows of generator and host."""

    from_s: float
    to_s: float
    in_hold: bool
    """It lies in the hold, in part at least; otherwise in the ramp."""
    sent: int = 0
    """Messages, pings and openings."""
    late: int = 0
    """Those of them that were later than the plan's limit allows."""
    lag_p99_ms: float = 0.0
    replies: int = 0
    """Replies and handshakes, where the interval before lagged."""
    late_replies: int = 0
    """Those of them that are beyond the limit because they were sent late."""
    behind_ms: float = 0.0
    cpu: CpuUse = field(default_factory=CpuUse)
    worker_cpu: Mapping[int, float] = field(default_factory=dict)
    """Worker -> share of a core, as far as the time is long enough to tell."""
    silent_workers: Sequence[int] = ()
    lost_workers: Sequence[str] = ()
    """What became of workers that were lost by the interval's end, in words."""
    no_port: int = 0
    no_descriptor: int = 0
    """Openings that found none of the driver's own."""
    lost_logs: int = 0
    conntrack: int = 0
    conntrack_max: int = 0
    conntrack_drops: int = 0
    suspended_s: float = 0.0
    wall_step_s: float = 0.0
    clocksources: tuple[str, str] = ("", "")
    """At its begin and end."""
    swapped_bytes: int = 0


class Finding(NamedTuple):
    """One doubt about one interval."""

    validity: Validity
    doubt: Doubt
    size: float
    """How bad; comparable among findings of the same doubt and validity."""
    words: str

    def is_graver_than(self, other: "Finding") -> bool:
        """Of two of the same doubt."""
        if self.validity is not other.validity:
            return self.validity is Validity.INVALID
        return self.size > other.size


class Context(NamedTuple):
    """What all intervals of a run have in common."""

    lag_limit_ms: float
    around: Surroundings


Check = Callable[[Context, IntervalFacts], Finding | None]


def _lost(_: Context, facts: IntervalFacts) -> Finding | None:
    """From its loss on: what is left of the load is not the plan's."""
    if facts.lost_workers:
        words = f"{'; '.join(facts.lost_workers)}, so from then on the load was not the plan's; run again"
    elif facts.silent_workers:
        silent = ("worker " if len(facts.silent_workers) == 1 else "workers ") + " and ".join(
            map(str, facts.silent_workers)
        )
        words = f"driver {silent} sent nothing; give the host more room (free cores, memory) and run again"
    else:
        return None
    size = len(facts.lost_workers) + len(facts.silent_workers)
    return Finding(Validity.INVALID, Doubt.WORKER_LOST, size, words)


def _too_many(late: int, whole: int) -> bool:
    return late >= LATE_LEAST and late > LATE_SHARE * whole


def _lag(context: Context, facts: IntervalFacts) -> Finding | None:
    if not _too_many(facts.late, facts.sent):
        return None
    words = (
        f"generator lag p99 was {_ms(facts.lag_p99_ms)}, over the limit of {_ms(context.lag_limit_ms)}, so "
        f"latencies are the generator's own; {make_room(context.around, facts.cpu)}"
    )
    return Finding(Validity.INVALID, Doubt.LAG, facts.lag_p99_ms, words)


def _late_replies(_: Context, facts: IntervalFacts) -> Finding | None:
    """A reply counts when it arrives, which may be in the interval after the one its message lagged in."""
    if not _too_many(facts.late_replies, facts.replies):
        return None
    words = (
        f"{format_count(facts.late_replies)} replies arrived to what was sent late in the interval before, "
        "so latencies are the generator's own; see there"
    )
    return Finding(Validity.INVALID, Doubt.LAG, 0.0, words)


def _no_port(_: Context, facts: IntervalFacts) -> Finding | None:
    if not facts.no_port:
        return None
    words = f"{format_many(facts.no_port, 'opening')} found no free local port; {PORTS_REMEDY}"
    return Finding(Validity.INVALID, Doubt.NO_PORT, facts.no_port, words)


def _no_descriptor(context: Context, facts: IntervalFacts) -> Finding | None:
    if not facts.no_descriptor:
        return None
    words = (
        f"{format_many(facts.no_descriptor, 'opening')} found no free file descriptor; "
        f"{descriptors_remedy(context.around.workers)}"
    )
    return Finding(Validity.INVALID, Doubt.NO_DESCRIPTOR, facts.no_descriptor, words)


def descriptors_remedy(workers: int) -> str:
    """For a driver that ran out of them."""
    return f"raise the limit (ulimit -n), or spread the tunnels: --set load.workers={workers + 1}"


def _conntrack(_: Context, facts: IntervalFacts) -> Finding | None:
    fill = facts.conntrack / facts.conntrack_max if facts.conntrack_max else 0.0
    if fill < CONNTRACK_SHARE:  # a few are dropped for other reasons
        return None
    table = (
        f"conntrack's table held {format_count(facts.conntrack)} of {format_count(facts.conntrack_max)} "
        "connections"
    )
    if facts.conntrack_drops > 0:
        words = f"{table} and dropped {format_count(facts.conntrack_drops)}; {CONNTRACK_REMEDY}"
        return Finding(Validity.INVALID, Doubt.CONNTRACK, facts.conntrack_drops, words)
    return Finding(Validity.SUSPECT, Doubt.CONNTRACK, fill, f"{table}; {CONNTRACK_REMEDY}")


def _suspended(_: Context, facts: IntervalFacts) -> Finding | None:
    if facts.suspended_s <= CLOCK_JUMP_S:
        return None
    words = (
        f"the host was suspended for {_s(facts.suspended_s)}, which its peers saw as silence; keep it awake "
        "(systemd-inhibit) and run again"
    )
    return Finding(Validity.INVALID, Doubt.CLOCK, facts.suspended_s, words)


def _wall_clock(_: Context, facts: IntervalFacts) -> Finding | None:
    """Latencies are of the monotonic clock; only what is joined with a log by its time suffers."""
    if abs(facts.wall_step_s) <= CLOCK_JUMP_S:
        return None
    way = "ahead" if facts.wall_step_s > 0 else "back"
    words = (
        f"the wall clock was set {way} by {_s(abs(facts.wall_step_s))}, so from then on HAProxy's log is "
        "joined with the wrong ends; let chrony or ntpd slew the clock, and run again"
    )
    return Finding(Validity.SUSPECT, Doubt.CLOCK, abs(facts.wall_step_s), words)


def _clocksource(_: Context, facts: IntervalFacts) -> Finding | None:
    before, after = facts.clocksources
    if not before or not after or before == after:
        return None
    words = (
        f"the kernel gave up its clock source {before} for {after}; look for why with dmesg, and run again "
        "on a host with a stable one"
    )
    return Finding(Validity.SUSPECT, Doubt.CLOCK, 0.0, words)


def _worker_cpu(context: Context, facts: IntervalFacts) -> Finding | None:
    busy = {worker: share for worker, share in sorted(facts.worker_cpu.items()) if share > BUSY_WORKER}
    if not busy:
        return None
    words = f"driver {busy_words(busy)} of a core; {make_room(context.around, facts.cpu)}"
    return Finding(Validity.SUSPECT, Doubt.WORKER_CPU, max(busy.values()), words)


def busy_words(busy: Mapping[int, float]) -> str:
    """``workers 0 and 1 used 91 and 96 %``. Who is late is read late too: that may seem more than 100."""
    used = " and ".join(f"{min(share, 1) * 100:.0f}" for share in busy.values())
    return ("worker " if len(busy) == 1 else "workers ") + " and ".join(map(str, busy)) + f" used {used} %"


def _behind(context: Context, facts: IntervalFacts) -> Finding | None:
    if facts.behind_ms <= max(BEHIND_LIMIT_MS, context.lag_limit_ms):
        return None
    words = (
        f"an opening or message was {_ms(facts.behind_ms)} behind its schedule; "
        f"{make_room(context.around, facts.cpu)}, or give the ramp more time"
    )
    return Finding(Validity.SUSPECT, Doubt.BEHIND, facts.behind_ms, words)


def _lost_logs(_: Context, facts: IntervalFacts) -> Finding | None:
    if facts.lost_logs <= 0:
        return None
    return Finding(Validity.SUSPECT, Doubt.LOST_LOGS, facts.lost_logs, lost_log_words(facts.lost_logs))


def lost_log_words(lines: int) -> str:
    """How many did not arrive, what that means, and the remedy."""
    return (
        f"{format_many(lines, 'line')} of HAProxy's log did not arrive, so disconnects lack its side of the "
        "story; free cores for wsload to read it, or raise the bound of its receive buffer: "
        "sysctl -w net.core.rmem_max=536870912"
    )


def _host_cpu(context: Context, facts: IntervalFacts) -> Finding | None:
    """Only where the system under test needs the same cores: a driver that fills its own is told above."""
    share = facts.cpu.cores
    if share is None or share < FULL_CORES or not context.around.sharers:
        return None
    words = (
        f"{cores_words(context.around)} were {share * 100:.0f} % busy, so each waited for the others; keep "
        "them apart (--set load.pin=true), free cores, or lower the load"
    )
    return Finding(Validity.SUSPECT, Doubt.HOST_CPU, share, words)


def _swap(_: Context, facts: IntervalFacts) -> Finding | None:
    if facts.swapped_bytes < SWAPPED_BYTES:
        return None
    words = (
        f"the host moved {format_size(facts.swapped_bytes)} to or from swap; free memory, or lower the load"
    )
    return Finding(Validity.SUSPECT, Doubt.SWAP, facts.swapped_bytes, words)


CHECKS: tuple[Check, ...] = (
    _lost,
    _lag,
    _late_replies,
    _no_port,
    _no_descriptor,
    _suspended,
    _conntrack,
    _wall_clock,
    _clocksource,
    _worker_cpu,
    _host_cpu,
    _behind,
    _lost_logs,
    _swap,
)


def find_doubts(context: Context, facts: IntervalFacts) -> list[Finding]:
    """All doubts about an interval, each once, the gravest first; none: it is valid."""
    found: dict[Doubt, Finding] = {}
    for check in CHECKS:
        finding = check(context, facts)
        if finding is not None and (
            finding.doubt not in found or finding.is_graver_than(found[finding.doubt])
        ):
            found[finding.doubt] = finding
    return sorted(found.values(), key=lambda each: each.validity is not Validity.INVALID)


def _ms(value_ms: float) -> str:
    return format_duration(value_ms * NS_PER_MS)


def _s(value_s: float) -> str:
    return format_duration(value_s * NS_PER_S)
