"""What each part of a report says, as rows of words: drawn by text.py on a terminal, by html.py on a page."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wsload.analysis.ledger import STEADY_SHARE
from wsload.analysis.slo import OVER_TUNNELS
from wsload.analysis.summary import ALL, PERCENTILES
from wsload.profile.model import HISTOGRAM_METRICS
from wsload.record.outcome import Cause, Validity, Verdict
from wsload.record.placement import ROLE_NAMES
from wsload.record.summary import SloRow, Summary
from wsload.units import (
    NS_PER_MS,
    NS_PER_S,
    format_count,
    format_duration,
    format_share,
    format_size,
)

STATISTICS = {"avg": "mean", **{name: name for name in PERCENTILES}, "max": "max"}
"""What a latency row shows: its heading -> its key in ``Summary.metrics``."""

OPENING_METRICS = ("connect", "upgrade", "handshake")
END_METRICS = ("tunnel_age", "idle_at_disconnect")
MANY_TUNNELS = 1000
"""From here on, memory per tunnel is more than noise."""


@dataclass(frozen=True)
class Row:
    """A name and what stands beside it: (label, text) pairs, the label empty where the text says it all."""

    name: str
    cells: tuple[tuple[str, str], ...]
    grave: bool = False
    """Worth a look: something failed or was lost."""


def ms(value_ms: float) -> str:
    """A time to three significant digits, which is what the histograms hold: 61.2399 -> ``61.2ms``."""
    return format_duration(float(f"{value_ms * NS_PER_MS:.3g}"))


def headline(summary: Summary) -> str:
    """What ran: ``mixed · through HAProxy 2.6.12 · timeout tunnel 5s · 15s``."""
    version = summary.haproxy.get("version", "")
    through = {
        "haproxy": f"through HAProxy {version}".rstrip(),
        "direct": "without HAProxy",
        "url": "to a URL",
    }
    parts = [summary.title, through.get(summary.via, summary.via)]
    tunnel_ms = summary.haproxy.get("timers_ms", {}).get("tunnel")
    own = [
        f"{format_duration(each['tunnel'] * NS_PER_MS)} ({cohort})"
        for cohort, each in summary.haproxy.get("cohort_timers_ms", {}).items()
    ]
    if tunnel_ms and len(own) < len(summary.tunnels.planned_by_cohort):
        own.insert(0, format_duration(tunnel_ms * NS_PER_MS))
    if own:
        parts.append(f"timeout tunnel {', '.join(own)}")
    parts.append(format_duration(round(summary.duration_s) * NS_PER_S))
    return " · ".join(parts)


def settings(summary: Summary) -> str:
    """The overrides: ``load.hold=30s haproxy.timeouts.tunnel=5s``."""
    return " ".join(f"{key}={value}" for key, value in summary.settings.items())


def verdict_line(summary: Summary) -> str:
    """The SLOs' verdict in words."""
    rows = summary.verdict.slo_rows
    failed = sum(not row.passed for row in rows)
    words = {
        Verdict.PASSED: f"SLO passed: all {len(rows)} hold" if len(rows) > 1 else "SLO passed",
        Verdict.FAILED: f"SLO failed: {failed} of {len(rows)} broken",
        Verdict.NONE: "no SLO is stated",
    }
    return words[Verdict(summary.verdict.slo)]


def validity_line(summary: Summary) -> str:
    """Whether the figures may be believed, in words."""
    words = {
        Validity.VALID: "valid: the generator and the measurement passed their own checks",
        Validity.SUSPECT: "suspect: read the figures with this in mind",
        Validity.INVALID: "INVALID: do not use these figures",
    }
    return words[Validity(summary.verdict.validity)]


def slo_value(row: SloRow) -> str:
    """What was measured, with its unit."""
    if row.metric.startswith("expect{") and row.value is not None:
        return format_share(row.value) + (f"; {row.note}" if row.note else "")
    if row.value is None:
        return row.note or "nothing measured"
    metric = row.metric.partition("{")[0]
    if row.assertion.startswith("rate"):
        return format_share(row.value) if metric in OVER_TUNNELS else f"{row.value:.4g}/s"
    if metric in HISTOGRAM_METRICS and not row.assertion.startswith("count"):
        return ms(row.value)
    return format_count(row.value)


def tunnel_rows(summary: Summary) -> list[Row]:
    """Tunnels in all and by cohort."""
    part = summary.tunnels
    rows = [
        Row(
            "tunnels",
            (
                ("planned", format_count(part.planned)),
                ("opened", format_count(part.opened)),
                ("failed", format_count(part.failed)),
                ("held", _held(part.held, part.planned)),
                ("peak", format_count(part.peak)),
            ),
            grave=part.held < part.planned,
        )
    ]
    if len(part.planned_by_cohort) < 2:
        return rows
    opened, failed = summary.counters.get("opened", {}), summary.counters.get("handshake_failed", {})
    for cohort, planned in part.planned_by_cohort.items():
        held = part.held_by_cohort.get(cohort, 0)
        cells = (
            ("planned", format_count(planned)),
            ("opened", format_count(opened.get(cohort, 0))),
            ("failed", format_count(failed.get(cohort, 0))),
            ("held", _held(held, planned)),
        )
        rows.append(Row(f"tunnels{{{cohort}}}", cells, grave=held < planned))
    return rows


def ledger_rows(summary: Summary) -> list[Row]:
    """Who holds HAProxy's slots at the end of the hold, and how well that is known."""
    found = summary.slot_ledger
    if found is None:
        return []
    cells = [
        ("in use", format_count(found.slots)),
        ("live", format_count(found.live)),
        ("ghosts", format_count(found.ghosts)),
    ]
    if found.half_open:
        cells.append(("half-open", format_count(found.half_open)))
    cells.append(("unexplained", format_share(found.unexplained_share)))
    return [Row("slots", tuple(cells), grave=found.unexplained_share > STEADY_SHARE)]


def stand_in_rows(summary: Summary) -> list[Row]:
    """Ghosts that were none; no row where all were."""
    return [
        Row(
            f"ghosts{{{cohort}}}",
            (
                (
                    "",
                    f"{format_count(count)} only fell silent, as vanishing needs CAP_NET_ADMIN; "
                    "run wsload as root, or read this cohort as idle tunnels that do not read",
                ),
            ),
            grave=True,
        )
        for cohort, count in summary.counters.get("ghost_stand_in", {}).items()
        if count
    ]


def failure_rows(summary: Summary) -> list[Row]:
    """Failed handshakes by reason, the most frequent first; no row where there are none."""
    return (
        [_counts("handshake_failed", summary.handshake_failures, grave=True)]
        if summary.handshake_failures
        else []
    )


def cause_rows(summary: Summary) -> list[Row]:
    """Failed handshakes by cause."""
    if not summary.handshake_causes:
        return []
    return [_counts("handshake_failed by cause", summary.handshake_causes, grave=True)]


def evidence_rows(summary: Summary) -> list[Row]:
    """How whole the evidence behind the causes is; no row where there is no log."""
    found = summary.evidence
    if found is None or not found.log_lines:
        return []
    cells = [("log lines", format_count(found.log_lines)), ("joined", format_count(found.matched))]
    missing = {
        "ends without a line": found.without_line,
        "lines without an end": found.without_end,
        "dropped": found.dropped,
        "unread": found.unread,
    }
    cells += [(name, format_count(number)) for name, number in missing.items() if number]
    return [Row("evidence", tuple(cells), grave=bool(found.without_line or found.dropped))]


def latency_rows(summary: Summary, metrics: Mapping[str, Any] | None = None) -> list[Row]:
    """Times: openings and lag over all cohorts, echoes and pings by cohort."""
    rows = []
    for metric, by_cohort in (summary.metrics if metrics is None else metrics).items():
        if metric in END_METRICS:
            continue
        named = [name for name in by_cohort if name != ALL]
        if metric in OPENING_METRICS or metric == "lag":
            rows.append(_latency(metric, by_cohort.get(ALL, {})))
            continue
        rows += [_latency(f"{metric}{{{name}}}", by_cohort[name]) for name in named]
        if len(named) > 1 and ALL in by_cohort:
            rows.append(_latency(metric, by_cohort[ALL]))
    return rows


def disconnect_rows(summary: Summary) -> list[Row]:
    """Disconnects by cohort and cause, the most frequent first."""
    return [
        _counts(f"disconnect{{{cohort}}}", by_cause, grave=set(by_cause) - {Cause.PLANNED} != set())
        for cohort, by_cause in summary.disconnects.items()
    ]


def traffic_rows(summary: Summary) -> list[Row]:
    """Messages of the hold, where there were any."""
    counters = summary.hold.get("counters", {})
    sent, received, unsent = (sum(counters.get(name, {}).values()) for name in ("sent", "received", "unsent"))
    if not sent and not received:
        return []
    seconds = summary.hold.get("seconds") or 0
    cells = [("sent", format_count(sent)), ("received", format_count(received))]
    if seconds:
        cells.append(("rate", f"{format_count(received / seconds)}/s"))
    if unsent:
        cells.append(("unsent", format_count(unsent)))
    return [Row("messages in the hold", tuple(cells), grave=bool(unsent))]


def role_rows(summary: Summary) -> list[Row]:
    """What HAProxy, the driver and the backend used, and how the others compare with HAProxy."""
    parts = {"haproxy": summary.haproxy, "driver": summary.driver, "backend": summary.backend}
    sharers = summary.haproxy.get("shared_by", 1)
    baseline, _ = _cost_ns(summary, summary.haproxy) if sharers == 1 else (0.0, "")
    rows = []
    for role, part in parts.items():
        if not part.get("peak_rss_bytes"):
            continue
        cells = [("cpu", _cpu(part))]
        cost_ns, unit = _cost_ns(summary, part)
        if role == "haproxy" and sharers > 1:
            cells.append(("", f"shared by {sharers} cells"))
        elif cost_ns:
            cells.append(("", f"{ms(cost_ns / NS_PER_MS)} per {unit}"))
        if role != "haproxy" and cost_ns and baseline:
            cells.append(("", f"{cost_ns / baseline:.2f} x HAProxy's"))
        cells.append(("rss", format_size(part["peak_rss_bytes"])))
        base_bytes = part.get("base_rss_bytes", 0)
        if base_bytes and summary.tunnels.peak >= MANY_TUNNELS:
            each_bytes = max(part["peak_rss_bytes"] - base_bytes, 0) / summary.tunnels.peak
            cells.append(("", f"{format_size(each_bytes)} per tunnel"))
        rows.append(Row(ROLE_NAMES[role], (*cells, *_extra(role, part))))
    return rows + ([Row("cores", (("", summary.cores),))] if summary.cores else [])


def _extra(role: str, part: Mapping[str, Any]) -> list[tuple[str, str]]:
    if role == "driver":
        lag_ms = part.get("lag_p99_ms")
        lag = [] if lag_ms is None else [("lag p99", ms(lag_ms))]
        return [("workers", str(part.get("workers", 0))), *lag]
    if role == "haproxy":
        peak, maxconn = part.get("peak_slots", 0), part.get("maxconn", 0)
        slots = f"{format_count(peak)} of {format_count(maxconn)}" if maxconn else format_count(peak)
        dropped = part.get("dropped_logs", 0)
        return [("peak slots", slots), *([("dropped logs", format_count(dropped))] if dropped else [])]
    return []


def _cpu(part: Mapping[str, Any]) -> str:
    hold_s = part.get("hold", {}).get("cpu_s", 0.0)
    return f"{part.get('cpu_s', 0.0):.2f}s ({hold_s:.2f}s in the hold)"


def _cost_ns(summary: Summary, part: Mapping[str, Any]) -> tuple[float, str]:
    """CPU per echo of the hold; where there were none, per tunnel opened. 0 where neither is known."""
    echoes = sum(summary.hold.get("counters", {}).get("received", {}).values())
    if echoes:
        return part.get("hold", {}).get("cpu_s", 0.0) * NS_PER_S / echoes, "echo"
    if summary.tunnels.opened:
        return part.get("cpu_s", 0.0) * NS_PER_S / summary.tunnels.opened, "tunnel"
    return 0.0, ""


def _latency(name: str, figures: Mapping[str, Any]) -> Row:
    cells = [(label, ms(figures[key])) for label, key in STATISTICS.items() if key in figures]
    over = figures.get("over_range", 0)
    return Row(name, (*cells, *([("over range", format_count(over))] if over else [])), grave=bool(over))


def _counts(name: str, counts: Mapping[str, int], grave: bool) -> Row:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return Row(name, tuple((label, format_count(count)) for label, count in ordered), grave)


def _held(held: int, planned: int) -> str:
    return f"{format_count(held)} ({format_share(held / planned)})" if planned else format_count(held)
