"""Whether a run may be believed: the generator's and the measurement's own checks.

Distinct from the SLOs: a system that fails is a result, a generator that fails is none.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from wsload.analysis.doubts import PORTS_REMEDY, busy_words, descriptors_remedy, lost_log_words
from wsload.analysis.folder import EXITS, INTERRUPTED, LOST
from wsload.analysis.interval_judge import HoldDoubts, judge_hold
from wsload.analysis.remedies import BUSY_WORKER, CpuUse, Surroundings, make_room
from wsload.record.layout import ActionLine, RunInfo
from wsload.record.outcome import Doubt, Limit, Validity
from wsload.record.summary import CapacityResult
from wsload.units import NS_PER_MS, format_count, format_duration, format_many, format_share

BEHIND_LIMIT_MS = 1000.0
UNSENT_LIMIT = 0.001
UNANSWERED_SUSPECT = 0.001
UNANSWERED_INVALID = 0.01
"""Shares without a reply above which the p99.9 and the p99 are those of the lucky only."""
BUSY_SHARED_HAPROXY = 0.7
"""Share of the time above which the runs that share a HAProxy process slow each other."""
OWN_FAILURES_LIMIT = 0.001
"""Share of all openings that may fail for want of the driver's own ports and descriptors: the rest is still
the plan's load."""
MISSING_INTERVALS = 1
"""Intervals that may be missing without a word: the last one may fall to the run's end."""


@dataclass(frozen=True, kw_only=True)
class Observed:
    """The run's figures about itself."""

    lag_p99_ms: float | None = None
    """In the hold, without the intervals left out; None where nothing was due in it."""
    worker_cpu: Mapping[int, float] = field(default_factory=dict)
    """Driver worker -> share of a core over the hold."""
    missing_workers: Mapping[int, int] = field(default_factory=dict)
    """Worker -> intervals of ramp and hold for which it sent nothing."""
    lost_logs: int = 0
    """Dropped by HAProxy or in our receive buffer."""
    behind_ms: float = 0.0
    """How late the most overdue event of ramp and hold was."""
    sent: int = 0
    """In the hold, as ``unsent``."""
    unsent: int = 0
    awaited: int = 0
    """Messages and pings of the hold that a reply was due to."""
    unanswered: int = 0
    """Those of them that had none by the end of the drain."""
    intervals: int = 0
    """Interval lines of ramp and hold."""
    hold_end_s: float | None = None
    """When the hold ended; None: as planned. A search for capacity ends when it has found it."""
    haproxy_busy: float = 0.0
    """Share of the time that a HAProxy that several runs share was busy (:mod:`.busyness`): in the hold, or
    while a plateau was judged."""
    haproxy_busy_opening: float = 0.0
    """The same in the ramp."""
    capacity: CapacityResult | None = None
    """What a search came to."""
    partial: bool = False
    attempted: int = 0
    """Openings of the whole run."""
    no_port: int = 0
    """Those of them for which the driver had no free local port, and no descriptor."""
    no_descriptor: int = 0
    hold: HoldDoubts = field(default_factory=HoldDoubts)
    """What its intervals came to."""
    around: Surroundings | None = None
    """None: nothing but the number of workers is known."""
    cpu: CpuUse = field(default_factory=CpuUse)
    """Of the driver's cores, over the hold."""


Finding = tuple[Validity, str]
Check = Callable[[RunInfo, Observed, Sequence[ActionLine]], list[Finding]]


def judge_validity(
    info: RunInfo, observed: Observed, actions: Sequence[ActionLine]
) -> tuple[Validity, list[str]]:
    """The verdict and its reasons, the gravest first, each with its figure and the remedy. Pure.

    A run in which nothing opened is not invalid for that: it is a failed one.
    """
    findings = [finding for check in CHECKS for finding in check(info, observed, actions)]
    for grade in (Validity.INVALID, Validity.SUSPECT):
        if any(found is grade for found, _ in findings):
            ordered = [reason for found, reason in findings if found is Validity.INVALID]
            ordered += [reason for found, reason in findings if found is Validity.SUSPECT]
            return grade, ordered
    return Validity.VALID, []


def _make_room(info: RunInfo, observed: Observed) -> str:
    use = replace(observed.cpu, worker=max(observed.worker_cpu.values(), default=None))
    return make_room(observed.around or Surroundings(workers=info.workers), use)


def _lag(info: RunInfo, observed: Observed, _: Sequence[ActionLine]) -> list[Finding]:
    lag_ms = observed.lag_p99_ms
    if lag_ms is None or lag_ms <= info.lag_limit_ms:
        return []
    return [
        (
            Validity.INVALID,
            f"generator lag p99 in the hold was {_ms(lag_ms)}, over the limit of {_ms(info.lag_limit_ms)}, "
            f"so latencies are the generator's own; {_make_room(info, observed)}",
        )
    ]


def _lost_workers(_info: RunInfo, observed: Observed, actions: Sequence[ActionLine]) -> list[Finding]:
    lost = {
        action.detail.get("worker"): f"{action.detail.get('reason', 'a driver worker was lost')} at "
        f"{action.t_s:.1f} s, and its tunnels with it; find out why (out of memory, killed) and run again"
        for action in actions
        if action.action == LOST
    }
    silent = {worker: count for worker, count in observed.missing_workers.items() if worker not in lost}
    findings = [(Validity.INVALID, reason) for reason in lost.values()]
    if silent:
        # Whether too many intervals lack them, the intervals say; not so in a search, whose levels decide.
        decided = observed.capacity is None
        findings.append((Validity.SUSPECT if decided else Validity.INVALID, _silent_words(silent)))
    return findings


def _silent_words(silent: Mapping[int, int]) -> str:
    """Of workers that came back."""
    most = format_many(max(silent.values()), "interval")
    if len(silent) == 1:
        what = f"driver worker {min(silent)} sent nothing for {most}"
    else:
        what = f"{len(silent)} driver workers sent nothing for up to {most} each"
    return f"{what}; give the host more room (free cores, memory) and run again"


def _exits(_info: RunInfo, _observed: Observed, actions: Sequence[ActionLine]) -> list[Finding]:
    findings = []
    for action in actions:
        if action.action in EXITS:
            code = action.detail.get("returncode")
            status = "" if code is None else f" with status {code}"
            findings.append(
                (
                    Validity.INVALID,
                    f"{EXITS[action.action]} ended unasked{status} at {action.t_s:.1f} s; "
                    "find out why (out of memory, killed, crashed) and run again",
                )
            )
    return findings


def _busy(info: RunInfo, observed: Observed, _: Sequence[ActionLine]) -> list[Finding]:
    busy = {worker: share for worker, share in sorted(observed.worker_cpu.items()) if share > BUSY_WORKER}
    if not busy:
        return []
    return [
        (
            Validity.SUSPECT,
            f"driver {busy_words(busy)} of a core in the hold; {_make_room(info, observed)}",
        )
    ]


def _mixed(info: RunInfo, observed: Observed, _: Sequence[ActionLine]) -> list[Finding]:
    shared = (
        f"CPU mixed: the HAProxy that {info.haproxy_sharers} cells shared was busy, or waited for a core, for"
    )
    findings = []
    if observed.haproxy_busy > BUSY_SHARED_HAPROXY:
        findings.append(
            f"{shared} {observed.haproxy_busy * 100:.0f} % of the time that is judged, so they slowed each "
            "other; lower the load, or write parallel = false"
        )
    if observed.haproxy_busy_opening > BUSY_SHARED_HAPROXY:
        findings.append(
            f"{shared} {observed.haproxy_busy_opening * 100:.0f} % of the ramp, so handshakes waited for "
            f'those of other cells; give it more time: --set load.ramp="{info.ramp_s * 2:g}s", or write '
            "parallel = false"
        )
    return [(Validity.SUSPECT, finding) for finding in findings]


def _lost_logs(_info: RunInfo, observed: Observed, _: Sequence[ActionLine]) -> list[Finding]:
    if observed.lost_logs <= 0:
        return []
    return [(Validity.SUSPECT, lost_log_words(observed.lost_logs))]


def _partial(info: RunInfo, observed: Observed, actions: Sequence[ActionLine]) -> list[Finding]:
    if not observed.partial:
        return []
    signals = [action for action in actions if action.action == INTERRUPTED]
    when = f"at {signals[0].t_s:.1f} s" if signals else "before its end"
    planned = format_duration((info.ramp_s + info.hold_s + info.drain_s) * 1e9)
    return [
        (
            Validity.SUSPECT,
            f"the run was cut short {when} of {planned}; the figures cover what there is, run again for all",
        )
    ]


def _few_intervals(info: RunInfo, observed: Observed, _: Sequence[ActionLine]) -> list[Finding]:
    end_s = info.ramp_s + info.hold_s if observed.hold_end_s is None else observed.hold_end_s
    planned = int(end_s / info.interval_s)
    if observed.partial or observed.intervals >= planned - MISSING_INTERVALS:
        return []
    return [
        (
            Validity.SUSPECT,
            f"only {observed.intervals} of {planned} intervals were recorded; "
            f'free cores for wsload, or record less often: --set load.interval="{info.interval_s * 5:g}s"',
        )
    ]


def _behind(info: RunInfo, observed: Observed, _: Sequence[ActionLine]) -> list[Finding]:
    if observed.behind_ms <= BEHIND_LIMIT_MS:
        return []
    return [
        (
            Validity.SUSPECT,
            f"openings or messages ran up to {_ms(observed.behind_ms)} behind their schedule; "
            f"{_make_room(info, observed)}, or give the ramp more time: "
            f'--set load.ramp="{max(info.ramp_s * 2, 1):g}s"',
        )
    ]


def _unsent(_info: RunInfo, observed: Observed, _: Sequence[ActionLine]) -> list[Finding]:
    due = observed.sent + observed.unsent
    if due == 0 or observed.unsent / due <= UNSENT_LIMIT:
        return []
    return [
        (
            Validity.SUSPECT,
            f"{format_count(observed.unsent)} of {format_count(due)} messages due in the hold "
            f"({format_share(observed.unsent / due)}) were not sent, because their sockets took no more, so "
            "latencies leave out the worst; lower the cohort's rate or payload",
        )
    ]


def _unanswered(_info: RunInfo, observed: Observed, _: Sequence[ActionLine]) -> list[Finding]:
    share = observed.unanswered / observed.awaited if observed.awaited else 0.0
    if share <= UNANSWERED_SUSPECT:
        return []
    return [
        (
            Validity.INVALID if share > UNANSWERED_INVALID else Validity.SUSPECT,
            f"{format_count(observed.unanswered)} of {format_count(observed.awaited)} messages of the hold "
            f"({format_share(share)}) had no reply, and latencies can only tell of those that had; find out "
            'what swallowed them, or write match = "none" if the backend does not reply',
        )
    ]


def _generator_bound(info: RunInfo, observed: Observed, _: Sequence[ActionLine]) -> list[Finding]:
    found = observed.capacity
    if found is None or found.limit != Limit.GENERATOR:
        return []
    at = format_count(found.first_failed or 0)
    return [
        (
            Validity.INVALID,
            f"at {at} tunnels {found.evidence}, so the capacity found is the generator's own; "
            f"add workers: --set load.workers={info.workers + 1}, or free cores for wsload",
        )
    ]


def _not_steady(_info: RunInfo, observed: Observed, _: Sequence[ActionLine]) -> list[Finding]:
    """Only the two levels that the knee lies between matter."""
    found = observed.capacity
    if found is None:
        return []
    decisive = (found.level, found.first_failed)
    levels = [plateau.level for plateau in found.plateaus if not plateau.steady and plateau.level in decisive]
    if not levels:
        return []
    held_s = max(plateau.end_s - plateau.opened_s for plateau in found.plateaus)
    return [
        (
            Validity.SUSPECT,
            f"the slots in use at {' and '.join(map(format_count, levels))} tunnels still rose or fell when "
            f"they were judged; hold levels longer: --set capacity.plateau={math.ceil(2 * held_s)}s",
        )
    ]


def _own_failures(info: RunInfo, observed: Observed, _: Sequence[ActionLine]) -> list[Finding]:
    if observed.capacity is not None:  # a search names them as the limit, where they are
        return []
    kinds = (
        (observed.no_port, "local port", PORTS_REMEDY),
        (observed.no_descriptor, "file descriptor", descriptors_remedy(info.workers)),
    )
    return [
        (
            Validity.INVALID if count > OWN_FAILURES_LIMIT * observed.attempted else Validity.SUSPECT,
            f"{format_count(count)} of {format_many(observed.attempted, 'opening')} found no free {what} of "
            f"the driver's own, so the load was less than planned; {remedy}",
        )
        for count, what, remedy in kinds
        if count
    ]


def _intervals(_info: RunInfo, observed: Observed, _: Sequence[ActionLine]) -> list[Finding]:
    """What is told of the whole hold already is not told of its intervals once more."""
    told = {
        Doubt.WORKER_CPU: any(share > BUSY_WORKER for share in observed.worker_cpu.values()),
        Doubt.BEHIND: observed.behind_ms > BEHIND_LIMIT_MS,
    }
    decides = observed.capacity is None  # a search judges its levels one by one
    return judge_hold(observed.hold, {doubt for doubt, is_told in told.items() if is_told}, decides)


CHECKS: tuple[Check, ...] = (
    _lag,
    _intervals,
    _own_failures,
    _generator_bound,
    _lost_workers,
    _exits,
    _partial,
    _busy,
    _mixed,
    _behind,
    _unsent,
    _unanswered,
    _lost_logs,
    _few_intervals,
    _not_steady,
)


def _ms(value_ms: float) -> str:
    return format_duration(value_ms * NS_PER_MS)
