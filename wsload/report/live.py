"""The one live block of a run: what it shows, and how. It never prints; the caller hands it to rich."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from wsload.record.outcome import Phase
from wsload.report.wording import ms
from wsload.units import NS_PER_S, format_count, format_duration

PHASE_WORDS = {Phase.OPEN: "opening", Phase.HOLD: "holding", Phase.DRAIN: "draining"}
PHASE_STYLES = {Phase.OPEN: "cyan", Phase.HOLD: "green", Phase.DRAIN: "magenta"}


@dataclass(frozen=True, kw_only=True)
class CohortProgress:
    """One cohort now. ``failed`` never opened; ``lost`` opened and ended unexpectedly."""

    planned: int
    open: int = 0
    connecting: int = 0
    failed: int = 0
    lost: int = 0


@dataclass(frozen=True, kw_only=True)
class HaproxyProgress:
    """All processes of the managed HAProxy together. ``cpu_share`` is of one core: 1.5 is one and a half."""

    connections: int
    slots: int
    maxconn: int
    cpu_share: float


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A run at one moment. Rates and latencies are of the last interval, None where it had none."""

    title: str
    phase: Phase
    elapsed_s: float
    left_s: float
    cohorts: Mapping[str, CohortProgress]
    opening_rate_per_s: float = 0.0
    echoes_per_s: float = 0.0
    p50_ms: float | None = None
    p99_ms: float | None = None
    lag_ms: float | None = None
    """The driver's, p99."""
    haproxy: HaproxyProgress | None = None
    warnings: Sequence[str] = field(default=())
    cell: str = ""
    """In a campaign, which cell: ``cell 3 of 8, haproxy.timeouts.tunnel=5s``."""


@dataclass(frozen=True, kw_only=True)
class BatchProgress:
    """Several cells of a campaign that run at once, by their folders' names."""

    title: str
    words: str
    """Which cells: ``cells 1-6 of 6 at once, about 2m left``."""
    cells: Mapping[str, Progress]


def live_block(progress: Progress | BatchProgress) -> RenderableType:
    """A few lines for ``rich.live.Live``, made to fit 80 columns."""
    if isinstance(progress, BatchProgress):
        return _batch_block(progress)
    parts: list[RenderableType] = [
        _head(progress),
        _bar(progress),
        _cohorts(progress.cohorts),
        _figures(progress),
    ]
    parts += [Text(f"! {warning}", style="yellow") for warning in progress.warnings]
    return Group(*parts)


def _batch_block(batch: BatchProgress) -> RenderableType:
    """A line for each cell, and what they come to together."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    table.add_column("cell", overflow="fold")
    table.add_column("phase")
    for name in ("left", "open", "of", "failed", "lost"):
        table.add_column(name, justify="right", min_width=6)
    warnings: dict[str, None] = {}
    for name, progress in batch.cells.items():
        phase = Text(PHASE_WORDS[progress.phase], style=PHASE_STYLES[progress.phase])
        _add_row(table, name, phase, _seconds(progress.left_s), _total(progress.cohorts))
        warnings |= dict.fromkeys(progress.warnings)
    if len(batch.cells) > 1:
        every = [cohort for progress in batch.cells.values() for cohort in progress.cohorts.values()]
        longest_s = max(progress.left_s for progress in batch.cells.values())
        _add_row(table, "all", Text(), _seconds(longest_s), _total(dict(enumerate(every))))
    return Group(
        _title(batch.title, batch.words),
        table,
        *(Text(f"! {warning}", style="yellow") for warning in warnings),
    )


def _add_row(table: Table, name: str, phase: Text, left: str, each: CohortProgress) -> None:
    table.add_row(
        name,
        phase,
        left,
        Text(format_count(each.open), style="bold"),
        format_count(each.planned),
        Text(format_count(each.failed), style="red" if each.failed else "dim"),
        Text(format_count(each.lost), style="red" if each.lost else "dim"),
    )


def _head(progress: Progress) -> Text:
    return _title(progress.title, progress.cell)


def _title(title: str, words: str) -> Text:
    head = Text()
    head.append(title, style="bold")
    if words:
        head.append(f"  {words}", style="dim")
    return head


def _bar(progress: Progress) -> Table:
    row = Table.grid(padding=(0, 1), expand=False)
    style = PHASE_STYLES[progress.phase]
    total_s = max(progress.elapsed_s + progress.left_s, 1e-9)
    row.add_row(
        Text(f"{PHASE_WORDS[progress.phase]:<8}", style=style),
        ProgressBar(total=total_s, completed=progress.elapsed_s, width=36, complete_style=style),
        Text(f"{_seconds(progress.elapsed_s)} done, {_seconds(progress.left_s)} left"),
    )
    return row


def _cohorts(cohorts: Mapping[str, CohortProgress]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    table.add_column("cohort")
    for name in ("open", "of", "connecting", "failed", "lost"):
        table.add_column(name, justify="right", min_width=7)
    for name, each in cohorts.items():
        _add_cohort(table, name, each)
    if len(cohorts) > 1:
        _add_cohort(table, "all", _total(cohorts))
    return table


def _add_cohort(table: Table, name: str, each: CohortProgress) -> None:
    table.add_row(
        name,
        Text(format_count(each.open), style="bold"),
        format_count(each.planned),
        format_count(each.connecting),
        Text(format_count(each.failed), style="red" if each.failed else "dim"),
        Text(format_count(each.lost), style="red" if each.lost else "dim"),
    )


def _total(cohorts: Mapping[Any, CohortProgress]) -> CohortProgress:
    each = cohorts.values()
    return CohortProgress(
        planned=sum(one.planned for one in each),
        open=sum(one.open for one in each),
        connecting=sum(one.connecting for one in each),
        failed=sum(one.failed for one in each),
        lost=sum(one.lost for one in each),
    )


def _figures(progress: Progress) -> Text:
    """Two lines: the tunnels' figures; HAProxy's and the driver's."""
    first = [f"opening {format_count(progress.opening_rate_per_s)}/s"]
    first.append(f"echoes {format_count(progress.echoes_per_s)}/s")
    if progress.p50_ms is not None and progress.p99_ms is not None:
        first.append(f"p50 {ms(progress.p50_ms)}, p99 {ms(progress.p99_ms)}")
    second = []
    if progress.haproxy is not None:
        proxy = progress.haproxy
        second.append(
            f"HAProxy {format_count(proxy.connections)} connections, "
            f"{format_count(proxy.slots)} of {format_count(proxy.maxconn)} slots, CPU {proxy.cpu_share:.0%}"
        )
    if progress.lag_ms is not None:
        second.append(f"driver lag {ms(progress.lag_ms)}")
    return Text("\n".join("  ·  ".join(line) for line in (first, second) if line))


def _seconds(value_s: float) -> str:
    return format_duration(round(max(value_s, 0)) * NS_PER_S)
