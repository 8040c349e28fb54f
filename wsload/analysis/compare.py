"""Runs beside each other, the first as the yardstick; unlike runs are refused, not averaged over."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from wsload.analysis.folder import RunFolder
from wsload.analysis.summary import ALL
from wsload.errors import FolderError
from wsload.record.layout import OWN_TIMERS, RunInfo
from wsload.record.outcome import Cause, Validity
from wsload.record.summary import Summary
from wsload.units import NS_PER_MS, NS_PER_S, format_count, format_duration, format_share, format_size

MOST_RUNS = len(ascii_uppercase)


LATENCIES = {
    "handshake": ("p50", "p99", "max"),
    "echo_corrected": ("p50", "p90", "p99", "p99.9", "max"),
    "echo_service": ("p50", "p99"),
    "ping_rtt": ("p50", "p99", "max"),
    "lag": ("p99",),
}
"""What is compared of each metric, over all cohorts."""


@dataclass(frozen=True)
class ComparedRun:
    """One of the runs."""

    name: str
    """Its folder's name."""
    title: str
    started: str
    validity: str


@dataclass(frozen=True)
class CompareRow:
    """One figure of every run; None where a run has none. ``format`` writes a value with its unit."""

    name: str
    values: tuple[float | None, ...]
    format: Callable[[float], str]

    @property
    def ratios(self) -> tuple[float | None, ...]:
        """Each value over the first run's; None where either is missing or the first is 0."""
        first = self.values[0]
        return tuple(value / first if value is not None and first else None for value in self.values)


@dataclass(frozen=True)
class Comparison:
    """What differs, and the figures beside each other."""

    runs: tuple[ComparedRun, ...]
    differences: tuple[str, ...]
    """In what the runs set out to do; only with ``force`` can there be any."""
    warnings: tuple[str, ...]
    """What to bear in mind, the differences among it."""
    rows: tuple[CompareRow, ...]

    @property
    def letters(self) -> str:
        """One capital a run: A is the yardstick."""
        return ascii_uppercase[: len(self.runs)]


def compare(folders: Sequence[Path], force: bool = False) -> Comparison:
    """Compare two or more run folders.

    Raises:
        FolderError: fewer than two, one is no folder of a finished run, or (without ``force``) the runs
            did not set out to do the same.
    """
    if not 2 <= len(folders) <= MOST_RUNS:
        raise FolderError(f"compare takes 2 to {MOST_RUNS} folders, got {len(folders)}; name them all")
    opened = [RunFolder(path) for path in folders]
    summaries = [_summary(folder) for folder in opened]
    differences = tuple(_differences([folder.info for folder in opened], [path.name for path in folders]))
    if differences and not force:
        raise FolderError(
            f"these runs are not alike: {'; '.join(differences)}; add --force to compare them all the same"
        )
    runs = tuple(
        ComparedRun(path.resolve().name, summary.title, summary.started, summary.verdict.validity)
        for path, summary in zip(folders, summaries, strict=True)
    )
    warnings = (*(f"not alike: {one}" for one in differences), *_doubts(runs, summaries))
    return Comparison(runs, differences, warnings, tuple(_rows(summaries)))


def _summary(folder: RunFolder) -> Summary:
    summary = folder.summary()
    if summary is None:
        raise FolderError(f"{folder.path}: has no summary.json; make it with: wsload report {folder.path}")
    return summary


def _plan_facts(info: RunInfo) -> dict[str, str]:
    """What must be alike, as written for people."""
    facts = {
        "tunnels": format_count(info.tunnels),
        "ramp": format_duration(info.ramp_s * NS_PER_S),
        "hold": format_duration(info.hold_s * NS_PER_S),
        "via": info.via,
        "maxconn": format_count(info.maxconn),
    }
    facts |= {f"cohort {name}": f"{format_count(count)} tunnels" for name, count in info.cohorts.items()}
    facts |= {
        (name if name in OWN_TIMERS else f"timeout {name}"): format_duration(value * NS_PER_MS)
        for name, value in info.named_timers_ms().items()
    }
    return facts


def _differences(infos: Sequence[RunInfo], names: Sequence[str]) -> Iterator[str]:
    facts = [_plan_facts(info) for info in infos]
    for key in dict.fromkeys(key for each in facts for key in each):
        values = [each.get(key, "none") for each in facts]
        if len(set(values)) > 1:
            yield f"{key} is " + ", ".join(
                f"{value} in {name}" for value, name in zip(values, names, strict=True)
            )


def _doubts(runs: Sequence[ComparedRun], summaries: Sequence[Summary]) -> Iterator[str]:
    for run, summary in zip(runs, summaries, strict=True):
        if run.validity != Validity.VALID:
            yield f"{run.name} is {run.validity}: {'; '.join(summary.verdict.reasons)}"
        elif summary.partial:
            yield f"{run.name} was cut short"


def _rows(summaries: Sequence[Summary]) -> Iterator[CompareRow]:
    for name, figure, written in FIGURES:
        values = tuple(figure(summary) for summary in summaries)
        if any(value is not None for value in values):
            yield CompareRow(name, values, written)
    for metric, keys in LATENCIES.items():
        for key in keys:
            values = tuple(_statistic(summary, metric, key) for summary in summaries)
            if any(value is not None for value in values):
                yield CompareRow(f"{metric} {key}", values, _written_ms)


def _statistic(summary: Summary, metric: str, key: str) -> float | None:
    value = summary.metrics.get(metric, {}).get(ALL, {}).get(key)
    return None if value is None else float(value)


def _written_ms(value_ms: float) -> str:
    return format_duration(float(f"{value_ms * NS_PER_MS:.3g}"))


def _written_s(value_s: float) -> str:
    return f"{value_s:.2f}s"


def _unexpected_share(summary: Summary) -> float | None:
    if not summary.tunnels.opened:
        return None
    ended = sum(
        count
        for by_cause in summary.disconnects.values()
        for cause, count in by_cause.items()
        if cause != Cause.PLANNED
    )
    return ended / summary.tunnels.opened


def _hold_cpu(part: Callable[[Summary], dict[str, Any]]) -> Callable[[Summary], float | None]:
    def figure(summary: Summary) -> float | None:
        value = part(summary).get("hold", {}).get("cpu_s")
        return None if value is None else float(value)

    return figure


def _resident(part: Callable[[Summary], dict[str, Any]]) -> Callable[[Summary], float | None]:
    def figure(summary: Summary) -> float | None:
        value = part(summary).get("peak_rss_bytes")
        return float(value) if value else None

    return figure


def _own_haproxy(summary: Summary) -> dict[str, Any]:
    """What a process that other cells shared used says nothing about one of them."""
    return {} if summary.haproxy.get("shared_by") else summary.haproxy


FIGURES: tuple[tuple[str, Callable[[Summary], float | None], Callable[[float], str]], ...] = (
    ("tunnels opened", lambda summary: summary.tunnels.opened, format_count),
    ("handshakes failed", lambda summary: summary.tunnels.failed, format_count),
    ("tunnels held", lambda summary: summary.tunnels.held, format_count),
    ("unexpected ends, of those opened", _unexpected_share, format_share),
    ("HAProxy CPU in the hold", _hold_cpu(_own_haproxy), _written_s),
    ("HAProxy peak memory", _resident(_own_haproxy), format_size),
    ("driver CPU in the hold", _hold_cpu(lambda summary: summary.driver), _written_s),
    ("driver peak memory", _resident(lambda summary: summary.driver), format_size),
)
"""The figures that are no latencies: name, where it stands, how it is written."""
