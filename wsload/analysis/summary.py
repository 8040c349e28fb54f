"""From a result folder to its summary, in one pass over each file: memory does not grow with the run."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from wsload.analysis.busyness import shared_haproxy_busy
from wsload.analysis.cpu_meter import CpuMeter
from wsload.analysis.expect import judge_expectations
from wsload.analysis.folder import Merged, RunFolder, add_interval
from wsload.analysis.host import host_words
from wsload.analysis.interval_facts import BOUNDARY_SLACK, FactsReader, lag_of, surroundings
from wsload.analysis.interval_judge import IntervalJudge
from wsload.analysis.kernel import summarise_kernel
from wsload.analysis.knee import knee_rows, read_knee
from wsload.analysis.ledger import summarise_ledger
from wsload.analysis.slo import Counts, counter_of, histogram_of, judge, verdict_of
from wsload.analysis.validity import Observed, judge_validity
from wsload.profile.model import HISTOGRAM_METRICS, Match, Profile, Traffic
from wsload.record.histogram import Histogram
from wsload.record.layout import SUMMARY_SCHEMA, ActionLine, IntervalLine, RunInfo
from wsload.record.outcome import Phase, Validity
from wsload.record.summary import CapacityResult, SloRow, Summary, TunnelsPart, VerdictPart
from wsload.units import NS_PER_MS

PERCENTILES = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "p99.9": 99.9}
ALL = "all"
"""The cohort that stands for all of them in ``Summary.metrics``."""
FAILED_PREFIX = "handshake_failed:"


class IntervalTotals:
    """What the summary needs of ``snapshots.jsonl``, added up line by line."""

    def __init__(self, info: RunInfo, hold_end_s: float) -> None:
        self._ramp_s, self._hold_end_s = info.ramp_s, hold_end_s
        self._slack_s = BOUNDARY_SLACK * info.interval_s
        self.merged: Merged = {}
        self.left_out: Merged = {}
        """What was counted in intervals that are not valid; what was timed in them is nowhere."""
        self.left_out_s = 0.0
        """Of the hold."""
        self.lag_left_out = Histogram()
        self.last_t_s = 0.0
        self.hold_s = 0.0
        self.peak_open = 0
        self.levels: dict[str, dict[str, int]] = {}
        self.cpu = {role: CpuMeter(info, hold_end_s) for role in ("driver", "backend")}
        self.peak_rss_bytes = {"driver": 0, "backend": 0}
        self.missing: dict[int, int] = {}
        self.behind_ms = 0.0
        self.intervals = 0

    def lag(self) -> Histogram:
        """Of the whole hold, with what is left out: how the generator did."""
        lag = histogram_of(self.merged, "lag")
        lag.merge(self.lag_left_out)
        return lag

    def add(self, line: IntervalLine, validity: Validity = Validity.VALID) -> None:
        """Take one interval."""
        is_valid = validity is not Validity.INVALID
        add_interval(self.merged, line, timed=is_valid)
        if not is_valid:
            add_interval(self.left_out, line, timed=False)
            within_s = min(line.t_s, self._hold_end_s) - max(self.last_t_s, self._ramp_s)
            self.left_out_s += max(within_s, 0.0)
            self.lag_left_out.merge(lag_of(line, Phase.HOLD))
        if line.t_s <= self._hold_end_s + self._slack_s:
            self.intervals += 1
            self.hold_s = max(0.0, min(line.t_s, self._hold_end_s) - self._ramp_s)
            self.levels = {"open": line.open, "connecting": line.connecting}
            self.behind_ms = max(self.behind_ms, line.behind_ms)
            for worker in line.missing_workers:
                self.missing[worker] = self.missing.get(worker, 0) + 1
        self.last_t_s = line.t_s
        self.peak_open = max(self.peak_open, sum(line.open.values()))
        for role, meter in self.cpu.items():
            processes = [process for process in line.processes if process.role == role]
            for process in processes:
                meter.add(process.index, line.t_s, process.cpu_s)
            resident = sum(process.rss_bytes for process in processes)
            self.peak_rss_bytes[role] = max(self.peak_rss_bytes[role], resident)


class HaproxyTotals:
    """What the summary needs of ``haproxy-stats.csv``: several processes, read at about the same time."""

    def __init__(self, info: RunInfo, hold_end_s: float) -> None:
        self.cpu = CpuMeter(info, hold_end_s)
        self._latest: dict[int, tuple[int, int, int]] = {}
        self._dropped: dict[int, int] = {}
        self.peaks = [0, 0, 0]
        self.version = ""

    def read(self, folder: RunFolder) -> None:
        """Take all rows."""
        for row in folder.iter_haproxy_stats():
            process = row["process"]
            self.cpu.add(process, row["t_s"], row["cpu_s"])
            self._latest[process] = (row["curr_conns"], row["slots"], row["rss_bytes"])
            self._dropped[process] = max(self._dropped.get(process, 0), row["dropped_logs"])
            self.version = row["version"] or self.version
            sums = [sum(values) for values in zip(*self._latest.values(), strict=True)]
            self.peaks = [max(pair) for pair in zip(self.peaks, sums, strict=True)]

    @property
    def dropped_logs(self) -> int:
        """Log lines that HAProxy could not deliver, all processes."""
        return sum(self._dropped.values())

    def figures(self, info: RunInfo) -> dict[str, Any]:
        """``haproxy`` of the summary; empty where the run managed none."""
        if not self._latest and info.via != "haproxy":
            return {}
        return {
            "version": self.version,
            "processes": len(self._latest),
            **({"shared_by": info.haproxy_sharers} if info.haproxy_sharers > 1 else {}),
            "timers_ms": info.timers_ms,
            **({"cohort_timers_ms": info.cohort_timers_ms} if info.cohort_timers_ms else {}),
            "maxconn": info.maxconn,
            "peak_connections": self.peaks[0],
            "peak_slots": self.peaks[1],
            **self.cpu.figures(),
            "peak_rss_bytes": self.peaks[2],
            "dropped_logs": self.dropped_logs,
        }


def summarise(folder: RunFolder, profile: Profile) -> Summary:
    """Everything ``summary.json`` says, from the folder's own files and the profile's SLOs.

    Raises:
        FolderError: a file cannot be understood.
    """
    info, actions, hold_end_s = folder.info, folder.actions(), folder.hold_end_s()
    totals, haproxy = IntervalTotals(info, hold_end_s), HaproxyTotals(info, hold_end_s)
    reader = FactsReader(folder, surroundings(folder, profile), actions, hold_end_s)
    interval_judge = IntervalJudge(reader.context)
    for line in folder.intervals():
        facts = reader.facts(line, after_lag=interval_judge.lagged)
        totals.add(line, Validity.VALID if facts is None else interval_judge.judge(facts))
    haproxy.read(folder)
    disconnects = _disconnects(folder)
    attribution = folder.attribution()
    merged = totals.merged
    capacity = read_knee(folder, profile)
    rows = _slo_rows(folder, profile, totals, capacity)
    partial = folder.ended_early(totals.last_t_s)
    hold_counters = _counters(merged, (Phase.HOLD,))
    busy, busy_opening = shared_haproxy_busy(folder, profile, capacity, hold_end_s)
    observed = Observed(
        lag_p99_ms=_p99_ms(histogram_of(merged, "lag")),
        worker_cpu=totals.cpu["driver"].hold_shares(),
        missing_workers=totals.missing,
        lost_logs=haproxy.dropped_logs + _detail(actions, "haproxy_log", "lost"),
        behind_ms=totals.behind_ms,
        sent=sum(hold_counters.get("sent", {}).values()),
        unsent=sum(hold_counters.get("unsent", {}).values()),
        **_replies(profile, hold_counters),
        intervals=totals.intervals,
        hold_end_s=hold_end_s,
        capacity=capacity,
        haproxy_busy=busy,
        haproxy_busy_opening=busy_opening,
        partial=partial,
        attempted=counter_of(merged, "attempted"),
        no_port=_failures(merged, "no_port"),
        no_descriptor=_failures(merged, "no_descriptor"),
        hold=interval_judge.hold,
        around=reader.context.around,
        cpu=reader.hold_cpu(),
    )
    validity, reasons = judge_validity(info, observed, actions)
    counters = _counters(merged, tuple(Phase))
    return Summary(
        schema=SUMMARY_SCHEMA,
        title=info.title,
        started=info.started,
        duration_s=round(totals.last_t_s, 3),
        partial=partial,
        verdict=VerdictPart(slo=verdict_of(rows), validity=validity, reasons=reasons, slo_rows=rows),
        tunnels=_tunnels(info, totals),
        metrics=_metrics(merged, info.cohorts),
        counters={name: each for name, each in counters.items() if not name.startswith(FAILED_PREFIX)},
        disconnects=disconnects,
        handshake_failures={
            name.removeprefix(FAILED_PREFIX): sum(each.values())
            for name, each in counters.items()
            if name.startswith(FAILED_PREFIX)
        },
        haproxy=haproxy.figures(info),
        driver={
            "workers": info.workers,
            **_process_figures(totals, "driver"),
            "base_rss_bytes": _detail(actions, "workers_ready", "rss_bytes"),
            "lag_p99_ms": _rounded(_p99_ms(totals.lag())),
        },
        backend=_process_figures(totals, "backend"),
        via=info.via,
        settings=info.settings,
        findings=attribution.findings if attribution else [],
        capacity=capacity,
        slot_ledger=summarise_ledger(folder.iter_ledger()),
        handshake_causes=attribution.handshake_causes if attribution else {},
        evidence=attribution.completeness if attribution else None,
        cores=host_words(folder.environment()),
        kernel=summarise_kernel(
            folder.iter_kernel(), info.ramp_s, hold_end_s, slack_s=BOUNDARY_SLACK * info.interval_s
        ),
        hold={
            "seconds": round(totals.hold_s, 3),
            **({"left_out_s": round(totals.left_out_s, 3)} if totals.left_out_s else {}),
            "counters": hold_counters,
        },
        doubts=interval_judge.spans,
        intervals=interval_judge.counts,
    )


def _slo_rows(
    folder: RunFolder, profile: Profile, totals: IntervalTotals, capacity: CapacityResult | None
) -> list[SloRow]:
    """Of a search those that decide; else the whole run's, and its expectations'."""
    if capacity is not None:
        return knee_rows(capacity)
    counts = Counts(hold_s=totals.hold_s - totals.left_out_s, levels=totals.levels, left_out=totals.left_out)
    return judge(profile.slos, totals.merged, counts) + judge_expectations(profile.expectations, folder)


def encode_summary(summary: Summary) -> bytes:
    """``summary.json``: indented, keys in the order of formats.md, the same bytes for the same run."""
    return msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n"


def statistics(histogram: Histogram) -> dict[str, Any]:
    """One histogram's figures in ms, by the names of ``summary.json``."""
    percentiles_ns = histogram.percentiles_ns(list(PERCENTILES.values()))
    figures: dict[str, Any] = {
        "unit": "ms",
        "count": histogram.total(),
        "min": _ms(histogram.min_ns()),
        "mean": _ms(histogram.mean_ns()),
        **{name: _ms(value_ns) for name, value_ns in zip(PERCENTILES, percentiles_ns, strict=True)},
        "max": _ms(histogram.max_ns()),
    }
    if histogram.over_range:
        figures["over_range"] = histogram.over_range
    return figures


def _tunnels(info: RunInfo, totals: IntervalTotals) -> TunnelsPart:
    open_at_end = totals.levels.get("open", {}) if totals.hold_s > 0 else {}
    held = {cohort: open_at_end.get(cohort, 0) for cohort in info.cohorts}
    return TunnelsPart(
        planned=info.tunnels,
        attempted=counter_of(totals.merged, "attempted"),
        opened=counter_of(totals.merged, "opened"),
        failed=counter_of(totals.merged, "handshake_failed"),
        peak=totals.peak_open,
        held=sum(held.values()),
        held_by_cohort=held,
        planned_by_cohort=dict(info.cohorts),
    )


def _metrics(merged: Merged, planned: Iterable[str]) -> dict[str, dict[str, dict[str, Any]]]:
    """Metric -> cohort -> figures; what was never measured is left out."""
    names = [*planned, *sorted(set(merged) - set(planned))]
    result: dict[str, dict[str, dict[str, Any]]] = {}
    for metric in HISTOGRAM_METRICS:
        by_cohort = {name: histogram_of(merged, metric, name) for name in names}
        filled = {name: each for name, each in by_cohort.items() if each.total() or each.over_range}
        if filled:
            whole = histogram_of(merged, metric)
            result[metric] = {name: statistics(each) for name, each in filled.items()} | {
                ALL: statistics(whole)
            }
    return result


def _counters(merged: Merged, phases: tuple[Phase, ...]) -> dict[str, dict[str, int]]:
    """Counter -> cohort -> count over ``phases``, the names sorted."""
    result: dict[str, dict[str, int]] = {}
    for cohort, parts in merged.items():
        for phase in phases:
            for name, count in parts[phase].counters.items() if phase in parts else ():
                by_cohort = result.setdefault(name, {})
                by_cohort[cohort] = by_cohort.get(cohort, 0) + count
    return dict(sorted(result.items()))


def _disconnects(folder: RunFolder) -> dict[str, dict[str, int]]:
    """Cohort -> cause -> count, causes sorted; one pass, nothing kept."""
    counts: dict[str, dict[str, int]] = {}
    for row in folder.iter_disconnects():
        by_cause = counts.setdefault(row.cohort, {})
        by_cause[row.cause] = by_cause.get(row.cause, 0) + 1
    return {cohort: dict(sorted(by_cause.items())) for cohort, by_cause in sorted(counts.items())}


def _failures(merged: Merged, reason: str) -> int:
    """Handshakes of the whole run that failed for a reason."""
    return sum(
        part.counters.get(FAILED_PREFIX + reason, 0) for phases in merged.values() for part in phases.values()
    )


def _detail(actions: Iterable[ActionLine], name: str, key: str) -> int:
    """A number that actions of that name carry, added up; 0 where there are none."""
    return sum(int(action.detail.get(key, 0)) for action in actions if action.action == name)


def _replies(profile: Profile, hold: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """``awaited`` and ``unanswered`` of :class:`Observed`, over the cohorts whose messages want a reply."""
    answered = [
        cohort.name
        for cohort in profile.cohorts
        if cohort.traffic is Traffic.PINGED
        or (cohort.traffic is Traffic.CHATTY and cohort.match is not Match.NONE)
    ]
    sent = [hold.get("sent", {}).get(name, 0) for name in answered]
    matched = [
        hold.get("received", {}).get(name, 0) - hold.get("unmatched", {}).get(name, 0) for name in answered
    ]
    # A tunnel that was cut may have taken one message with it; that is told among the disconnects.
    cut = [hold.get("disconnect_unexpected", {}).get(name, 0) for name in answered]
    missing = [max(each - back - lost, 0) for each, back, lost in zip(sent, matched, cut, strict=True)]
    return {"awaited": sum(sent), "unanswered": sum(missing)}


def _process_figures(totals: IntervalTotals, role: str) -> dict[str, Any]:
    return {**totals.cpu[role].figures(), "peak_rss_bytes": totals.peak_rss_bytes[role]}


def _ms(value_ns: float) -> float:
    return round(value_ns / NS_PER_MS, 6)


def _p99_ms(histogram: Histogram) -> float | None:
    return histogram.percentile_ns(99) / NS_PER_MS if histogram.total() else None


def _rounded(value_ms: float | None) -> float | None:
    return None if value_ms is None else round(value_ms, 6)
