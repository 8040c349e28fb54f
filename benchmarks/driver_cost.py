"""What the driver costs beside HAProxy, for the same work in the same run.

Each workload is an ordinary run (recording, snapshots and causes on) through one real HAProxy process to the
embedded backend. CPU and memory are taken from the run's own summary; every figure of merit is a ratio within
one run, or a count. Prints JSON on stdout and a table on stderr.

    python benchmarks/driver_cost.py [--repeat N] [WORKLOAD ...]
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from wsload.analysis.folder import RunFolder
from wsload.profile.load import LoadedProfile, parse_profile
from wsload.record.layout import Summary
from wsload.run.session import run

IDLE_9000 = """
title = "idle-9000"
[load]
tunnels = 9000
ramp = "2500ms"
hold = "60s"
drain = "6s"
workers = 1
[haproxy]
maxconn = 9900
"""

ECHO_10000 = """
title = "echo-10000-per-s"
[load]
tunnels = 1000
ramp = "1s"
hold = "20s"
drain = "2s"
workers = 1
[[cohort]]
name = "chatty"
traffic = "chatty"
rate = "10/s"
payload = "64B"
"""

ECHO_MAX = """
title = "echo-saturated"
[load]
tunnels = 200
ramp = "500ms"
hold = "10s"
drain = "2s"
workers = 1
[[cohort]]
name = "chatty"
traffic = "chatty"
rate = "max"
payload = "64B"
"""


def _hold_cpu_s(part: Mapping[str, Any]) -> float:
    return float(part["hold"]["cpu_s"])


def _echo_figures(summary: Summary, folder: RunFolder) -> dict[str, float]:
    echoes = sum(summary.hold["counters"]["received"].values())
    haproxy_us, driver_us, backend_us = (
        _hold_cpu_s(part) / echoes * 1e6 for part in (summary.haproxy, summary.driver, summary.backend)
    )
    return {
        "echoes_per_s": echoes / folder.info.hold_s,
        "driver_us_per_echo": driver_us,
        "haproxy_us_per_echo": haproxy_us,
        "backend_us_per_echo": backend_us,
        "driver_to_haproxy": driver_us / haproxy_us,
        "lag_p99_ms": summary.driver["lag_p99_ms"],
    }


def _idle_figures(summary: Summary, folder: RunFolder) -> dict[str, float]:
    lines = list(folder.intervals())
    stats = folder.haproxy_stats()
    opened = summary.tunnels.opened
    ramp = [line for line in lines if line.t_s <= folder.info.ramp_s + 2]
    driver_s = _cpu_s(ramp[-1]) - _cpu_s(ramp[0])
    ramp_stats = [row for row in stats if row["t_s"] <= ramp[-1].t_s + 0.5]
    haproxy_s = ramp_stats[-1]["cpu_s"] - ramp_stats[0]["cpu_s"]
    hold = [line for line in lines if line.phase == "hold"]
    driver_bytes = (_rss_bytes(hold[-1]) - _rss_bytes(lines[0])) / opened
    haproxy_bytes = (stats[-2]["rss_bytes"] - stats[0]["rss_bytes"]) / opened
    return {
        "opened": opened,
        "lost_in_hold": sum(summary.counters.get("disconnect_unexpected", {}).values()),
        "opened_per_s": opened / folder.info.ramp_s,
        "opening_p99_ms": summary.metrics["handshake"]["all"]["p99"],
        "driver_us_per_opening": driver_s / opened * 1e6,
        "haproxy_us_per_opening": haproxy_s / opened * 1e6,
        "driver_to_haproxy_opening": driver_s / haproxy_s,
        "driver_bytes_per_tunnel": driver_bytes,
        "haproxy_bytes_per_tunnel": haproxy_bytes,
        "driver_to_haproxy_memory": driver_bytes / haproxy_bytes,
    }


def _cpu_s(line: Any) -> float:
    return float(sum(process.cpu_s for process in line.processes if process.role == "driver"))


def _rss_bytes(line: Any) -> int:
    return int(sum(process.rss_bytes for process in line.processes if process.role == "driver"))


Figures = Callable[[Summary, RunFolder], dict[str, float]]
WORKLOADS: dict[str, tuple[str, Figures]] = {
    "idle": (IDLE_9000, _idle_figures),
    "echo": (ECHO_10000, _echo_figures),
    "echo-max": (ECHO_MAX, _echo_figures),
}
BARS: dict[tuple[str, str], tuple[str, float]] = {
    ("idle", "opened"): (">=", 9000),
    ("idle", "lost_in_hold"): ("<=", 0),
    ("idle", "opened_per_s"): (">=", 3000),
    ("idle", "driver_bytes_per_tunnel"): ("<=", 4096),
    ("echo", "driver_to_haproxy"): ("<=", 1.0),
}
"""What the main job has to reach: (workload, figure) -> bound."""


def measure(name: str) -> dict[str, Any]:
    """One run of a workload and its figures."""
    text, figures = WORKLOADS[name]
    loaded = LoadedProfile(profile=parse_profile(text, name), text=text, overrides=())
    with tempfile.TemporaryDirectory() as folder:
        result = asyncio.run(run(loaded, Path(folder) / name))
        measured = figures(result.summary, RunFolder(result.folder))
        verdict = result.summary.verdict
        return {**measured, "validity": verdict.validity, "reasons": verdict.reasons}


def main() -> None:
    """Measure, print, and fail if a bar is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(WORKLOADS)}; default all"
    )
    parser.add_argument("--repeat", type=int, default=1)
    arguments = parser.parse_args()
    chosen = arguments.workloads or list(WORKLOADS)
    result: dict[str, Any] = {}
    for name in chosen:
        runs = [measure(name) for _ in range(arguments.repeat)]
        numbers = [figure for figure, value in runs[0].items() if isinstance(value, int | float)]
        medians = {figure: statistics.median(run[figure] for run in runs) for figure in numbers}
        spread = {
            figure: [min(run[figure] for run in runs), max(run[figure] for run in runs)] for figure in numbers
        }
        result[name] = {"median": medians, "least_most": spread, "runs": runs}
        for figure, value in medians.items():
            bar = BARS.get((name, figure))
            mark = "" if bar is None else ("✓ " if _holds(value, bar) else "✗ ") + f"{bar[0]} {bar[1]:g}"
            least, most = spread[figure]
            print(f"{name:9} {figure:28} {value:12.3f}  [{least:.3f}, {most:.3f}]  {mark}", file=sys.stderr)
    json.dump(result, sys.stdout, indent=2)
    print()
    missed = [
        key
        for key, bar in BARS.items()
        if key[0] in result and not _holds(result[key[0]]["median"][key[1]], bar)
    ]
    sys.exit(1 if missed else 0)


def _holds(value: float, bar: tuple[str, float]) -> bool:
    return value >= bar[1] if bar[0] == ">=" else value <= bar[1]


if __name__ == "__main__":
    main()
