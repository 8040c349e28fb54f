"""One tool on one workload as figures; what several rounds come to; ratios to ours; the table. Pure."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from benchmarks.peer_tools.base import REPLY_FRAME_BYTES, SETTLE_S, Latency, Traffic, Workload
from benchmarks.peer_tools.table import OURS, TOOLS
from benchmarks.peers_samples import Sample
from wsload.errors import WsloadError
from wsload.units import format_count

CPU_BAR = 4.0
"""So many times ours at least is what a peer's CPU for an echo should be."""
MEMORY_BAR = 8.0
"""And so many times ours a peer's memory for a tunnel."""
_FEW = 10
_LEAST_SAMPLES = 2
_FULL_SHARE = 0.99
"""Of the tunnels or echoes asked for; with fewer a figure is of another load, and the table says so."""


class Setting(msgspec.Struct, frozen=True):
    """Where a measurement was made; only equal ones are compared."""

    haproxy: str
    kernel: str
    cores: int
    memory_bytes: int
    python: str


class Measurement(msgspec.Struct, kw_only=True):
    """One tool on one workload in one round. Where ``error`` says why it failed, no figure counts.

    CPU and memory are of the whole process tree. ``steady`` is the median of the hold's samples, ``base`` the
    same of a run with ten tunnels.
    """

    tool: str
    version: str
    round: int
    started: str
    workload: Workload
    setting: Setting
    error: str = ""
    held: float = 0.0
    """Tunnels open in the hold on average, as the backend counts them."""
    echoes_per_s: float = 0.0
    """As the backend counts them."""
    cpu_cores: float = 0.0
    """Over the hold."""
    cpu_us_per_echo: float | None = None
    cpu_us_per_opening: float | None = None
    """Up to the hold's begin, less what a run with ten tunnels took up to its own."""
    haproxy_cpu_us_per_echo: float | None = None
    haproxy_cpu_cores: float = 0.0
    backend_cpu_cores: float = 0.0
    base_bytes: int = 0
    steady_bytes: int = 0
    peak_bytes: int = 0
    """Up to its end, its report's making included."""
    bytes_per_tunnel: float | None = None
    processes: int = 0
    driver_cpu_us_per_echo: float | None = None
    """Of wsload's drivers alone, and likewise the next."""
    driver_bytes_per_tunnel: float | None = None
    latency: Latency = Latency()


def few_of(workload: Workload) -> Workload:
    """The same with so few tunnels that a tool is at its base: all processes there, warm, and next to empty.

    It takes as long as the workload, for runtimes give memory back when they have been quiet for a while.
    """
    return msgspec.structs.replace(workload, tunnels=_FEW, sized_for=workload.tunnels)


def window_of(samples: Sequence[Sample], workload: Workload) -> list[Sample]:
    """The samples of the hold, which is the same for all tools.

    It begins :data:`SETTLE_S` after the ramp's planned end, counted from the first tunnel at the backend.

    Raises:
        WsloadError: The tool opened no tunnel, or its tunnels went too early.
    """
    opened_s = next((each.t_s for each in samples if each.tunnels > 0), None)
    if opened_s is None:
        raise WsloadError("it opened no tunnel")
    begin_s = opened_s + workload.ramp_s + SETTLE_S
    window = [each for each in samples if begin_s <= each.t_s <= begin_s + workload.hold_s]
    if len(window) < _LEAST_SAMPLES or not window[-1].tunnels:
        raise WsloadError("its tunnels were gone before the hold's end")
    return window


def measured(window: Sequence[Sample], workload: Workload) -> dict[str, Any]:
    """Figures of a :class:`Measurement` from the hold's samples."""
    begin, end = window[0], window[-1]
    took_s = end.t_s - begin.t_s
    cpu_s = end.tool.cpu_s - begin.tool.cpu_s
    haproxy_cpu_s = end.haproxy_cpu_s - begin.haproxy_cpu_s
    found: dict[str, Any] = {
        "held": _held(window),
        "cpu_cores": cpu_s / took_s,
        "haproxy_cpu_cores": haproxy_cpu_s / took_s,
        "backend_cpu_cores": (end.backend_cpu_s - begin.backend_cpu_s) / took_s,
        "steady_bytes": _steady_bytes(window),
        "processes": end.tool.processes,
    }
    echoes = (end.replied_bytes - begin.replied_bytes) / REPLY_FRAME_BYTES
    if workload.traffic is Traffic.ECHO and echoes:
        found |= {
            "echoes_per_s": echoes / took_s,
            "cpu_us_per_echo": cpu_s / echoes * 1e6,
            "haproxy_cpu_us_per_echo": haproxy_cpu_s / echoes * 1e6,
        }
        if end.driver.processes:
            found["driver_cpu_us_per_echo"] = (end.driver.cpu_s - begin.driver.cpu_s) / echoes * 1e6
    return found


def grown(few: Sequence[Sample], many: Sequence[Sample]) -> dict[str, Any]:
    """What more tunnels took: figures from the holds of two runs that differ in their number alone."""
    more = _held(many) - _held(few)
    opened = max(many[0].tunnels - few[0].tunnels, 1)
    found: dict[str, Any] = {
        "base_bytes": _steady_bytes(few),
        "bytes_per_tunnel": (_steady_bytes(many) - _steady_bytes(few)) / more,
        "cpu_us_per_opening": (many[0].tool.cpu_s - few[0].tool.cpu_s) / opened * 1e6,
    }
    if many[0].driver.processes:
        drivers = (statistics.median(each.driver.pss_bytes for each in window) for window in (many, few))
        found["driver_bytes_per_tunnel"] = (next(drivers) - next(drivers)) / more
    return found


def _held(window: Sequence[Sample]) -> float:
    return statistics.fmean(each.tunnels for each in window)


def _steady_bytes(window: Sequence[Sample]) -> int:
    return round(statistics.median(each.tool.pss_bytes for each in window))


def check_alike(measurements: Sequence[Measurement]) -> None:
    """Raises WsloadError where they come from different places, or of different workloads of a kind."""
    settings = {msgspec.json.encode(each.setting) for each in measurements}
    if len(settings) > 1:
        raise WsloadError("measured on different machines or with different versions; report them one by one")
    for traffic in Traffic:
        if len({each.workload for each in measurements if each.workload.traffic is traffic}) > 1:
            raise WsloadError(f"{traffic}: different loads in one file; report them one by one")


Figure = Callable[[Measurement], float | None]


class Line(msgspec.Struct, frozen=True):
    """A line of the table: its figure, and what a peer's should be against ours."""

    name: str
    traffic: Traffic
    figure: Figure
    unit: str
    bar: float | None = None
    """So many times ours at least; None: nothing is asked."""


def _mb(size: float) -> float:
    return size / 1e6


def _kb(size: float | None) -> float | None:
    return None if size is None else size / 1000


CPU = Line("CPU per echo", Traffic.ECHO, lambda each: each.cpu_us_per_echo, "us", CPU_BAR)
MEMORY = Line("memory per tunnel", Traffic.IDLE, lambda each: _kb(each.bytes_per_tunnel), "KB", MEMORY_BAR)
LINES = (
    CPU,
    Line("of HAProxy, same time", Traffic.ECHO, lambda each: each.haproxy_cpu_us_per_echo, "us"),
    Line("wsload's drivers alone", Traffic.ECHO, lambda each: each.driver_cpu_us_per_echo, "us"),
    Line("achieved", Traffic.ECHO, lambda each: each.echoes_per_s, "echoes/s"),
    Line("tunnels held", Traffic.ECHO, lambda each: each.held, ""),
    Line("steady memory", Traffic.ECHO, lambda each: _mb(each.steady_bytes), "MB"),
    Line("reported p50", Traffic.ECHO, lambda each: each.latency.p50_ms, "ms"),
    Line("reported p99", Traffic.ECHO, lambda each: each.latency.p99_ms, "ms"),
    Line("reported mean", Traffic.ECHO, lambda each: each.latency.mean_ms, "ms"),
    Line("p50 from due time", Traffic.ECHO, lambda each: each.latency.corrected_p50_ms, "ms"),
    Line("p99 from due time", Traffic.ECHO, lambda each: each.latency.corrected_p99_ms, "ms"),
    MEMORY,
    Line("wsload's drivers alone", Traffic.IDLE, lambda each: _kb(each.driver_bytes_per_tunnel), "KB"),
    Line("base memory", Traffic.IDLE, lambda each: _mb(each.base_bytes), "MB"),
    Line("steady memory", Traffic.IDLE, lambda each: _mb(each.steady_bytes), "MB"),
    Line("peak memory", Traffic.IDLE, lambda each: _mb(each.peak_bytes), "MB"),
    Line("CPU per opening", Traffic.IDLE, lambda each: each.cpu_us_per_opening, "us"),
    Line("CPU of the hold", Traffic.IDLE, lambda each: each.cpu_cores, "cores"),
    Line("tunnels held", Traffic.IDLE, lambda each: each.held, ""),
    Line("processes", Traffic.IDLE, lambda each: each.processes, ""),
)
RATIOS = (CPU, MEMORY)
"""What is compared with ours, and drawn."""


def values(measurements: Sequence[Measurement], line: Line, tool: str) -> list[float]:
    """A tool's figure in each round that did not fail."""
    return [
        value
        for each in measurements
        if each.tool == tool and not each.error and each.workload.traffic is line.traffic
        if (value := line.figure(each)) is not None
    ]


def median_of(measurements: Sequence[Measurement], line: Line, tool: str) -> float | None:
    """Over all rounds; None where there is no figure."""
    found = values(measurements, line, tool)
    return statistics.median(found) if found else None


def ratio_to_ours(measurements: Sequence[Measurement], line: Line, tool: str) -> float | None:
    """A tool's median over wsload's; None where either is missing."""
    ours, theirs = (median_of(measurements, line, name) for name in (OURS, tool))
    return None if not ours or theirs is None else theirs / ours


def tools_in(measurements: Sequence[Measurement]) -> list[str]:
    """Those with a measurement, ours first, in the table's order."""
    return [name for name in TOOLS if any(each.tool == name for each in measurements)]


def bars(measurements: Sequence[Measurement]) -> dict[str, dict[str, Any]]:
    """``line: tool`` -> its ratio to ours, the bar, and whether it is met, where one is stated."""
    found = {}
    for line in RATIOS:
        for tool in tools_in(measurements):
            ratio = ratio_to_ours(measurements, line, tool)
            is_stated = tool != OURS and (line is not MEMORY or TOOLS[tool].has_memory_bar)
            if ratio is not None and line.bar is not None and is_stated:
                found[f"{line.name}: {tool}"] = {
                    "ratio": round(ratio, 2),
                    "bound": f">= {line.bar:g}",
                    "met": ratio >= line.bar,
                }
    return found


def remarks(measurements: Sequence[Measurement]) -> list[str]:
    """What failed, and figures that are of another load than was asked for."""
    found = []
    for each in measurements:
        workload = each.workload
        where = f"{each.tool}, {workload.traffic}, round {each.round}"
        if each.error:
            found.append(f"{where}: failed: {each.error}")
            continue
        if each.held < _FULL_SHARE * workload.tunnels:
            found.append(
                f"{where}: held {format_count(round(each.held))} of {format_count(workload.tunnels)}"
            )
        asked = workload.tunnels * workload.rate_per_s
        if each.echoes_per_s < _FULL_SHARE * asked:
            found.append(f"{where}: {each.echoes_per_s:,.0f} echoes/s of {asked:,.0f}")
    return found


def table(measurements: Sequence[Measurement]) -> str:
    """A column for each tool, a line for each figure (the median of its rounds), then the ratios to ours."""
    tools = tools_in(measurements)
    versions = {each.tool: each.version for each in measurements}
    lines = [_row("", tools), _row("version", [versions[name] for name in tools])]
    for traffic in Traffic:
        workload = next((each.workload for each in measurements if each.workload.traffic is traffic), None)
        if workload is None:
            continue
        lines += ["", describe(workload)]
        for line in LINES:
            cells = [median_of(measurements, line, name) for name in tools]
            if line.traffic is traffic and any(cell is not None for cell in cells):
                lines.append(_row(f"{line.name}, {line.unit}".rstrip(", "), [_shown(cell) for cell in cells]))
        for line in RATIOS:
            if line.traffic is traffic:
                ratios = [ratio_to_ours(measurements, line, name) for name in tools]
                cells_text = ["-" if ratio is None else f"{ratio:.1f}x" for ratio in ratios]
                lines.append(_row(f"{line.name} against ours", cells_text))
    lines += ["", *_bar_lines(bars(measurements)), *(f"! {remark}" for remark in remarks(measurements))]
    return "\n".join(lines).rstrip()


def describe(workload: Workload) -> str:
    """A workload in words."""
    what = f"{format_count(workload.tunnels)} tunnels"
    if workload.traffic is Traffic.ECHO:
        what += f", {workload.rate_per_s:g} echoes/s each"
    else:
        what += ", idle"
    return f"{what}; opened in {workload.ramp_s:g} s, measured for {workload.hold_s:g} s"


def _bar_lines(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [
        f"{'met   ' if bar['met'] else 'MISSED'} {name}: {bar['ratio']:.1f} times ours, asked {bar['bound']}"
        for name, bar in found.items()
    ]


def _row(name: str, cells: Sequence[str]) -> str:
    return f"{name:28}{''.join(f'{cell:>12}' for cell in cells)}".rstrip()


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
