"""What the driver costs beside HAProxy, for the same work in the same run.

Each workload is an ordinary run (recording, snapshots and causes on) through one real HAProxy process to the
embedded backend. CPU and memory are taken from the run's own summary; every figure of merit is a ratio within
one run, or a count. ``quickstart`` is the campaign of ``make run``, timed once as a user waits for it. Prints
JSON on stdout and a table with medians, extremes and bars on stderr, and writes both into ``--out``; the exit
code is 1 where a bar is missed or a result is not valid. docs/driver-cost.md says where the cost comes from.

    python benchmarks/driver_cost.py [--repeat N] [--out DIR] [WORKLOAD ...]
"""

import argparse
import asyncio
import csv
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from wsload.analysis.folder import RunFolder
from wsload.profile.load import LoadedProfile, parse_profile
from wsload.record.layout import CAPACITY
from wsload.record.outcome import Phase, Validity
from wsload.record.summary import Summary
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


def opening_rate_per_s(opened: int, ramp_s: float, worst_handshake_ms: float) -> float:
    """From the first due time to when the last can have opened at the latest; the plan's own rate is no
    measurement."""
    return opened / (ramp_s + worst_handshake_ms / 1000)


def _idle_figures(summary: Summary, folder: RunFolder) -> dict[str, float]:
    lines = list(folder.intervals())
    stats = folder.haproxy_stats()
    opened = summary.tunnels.opened
    ramp = [line for line in lines if line.t_s <= folder.info.ramp_s + 2]
    driver_s = _cpu_s(ramp[-1]) - _cpu_s(ramp[0])
    ramp_stats = [row for row in stats if row["t_s"] <= ramp[-1].t_s + 0.5]
    haproxy_s = ramp_stats[-1]["cpu_s"] - ramp_stats[0]["cpu_s"]
    hold = [line for line in lines if line.phase is Phase.HOLD]
    driver_bytes = (_rss_bytes(hold[-1]) - summary.driver["base_rss_bytes"]) / opened
    held_stats = [row for row in stats if row["t_s"] <= hold[-1].t_s]
    haproxy_bytes = (held_stats[-1]["rss_bytes"] - held_stats[0]["rss_bytes"]) / opened
    handshake_ms = summary.metrics["handshake"]["all"]
    return {
        "opened": opened,
        "lost": sum(summary.counters.get("disconnect_unexpected", {}).values()),
        "opened_per_s": opening_rate_per_s(opened, folder.info.ramp_s, handshake_ms["max"]),
        "opening_p99_ms": handshake_ms["p99"],
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


def _run_once(text: str, figures: Callable[[Summary, RunFolder], dict[str, float]]) -> dict[str, Any]:
    """One run of a profile's text and its figures."""
    loaded = LoadedProfile(profile=parse_profile(text, "benchmark"), text=text, overrides=())
    with tempfile.TemporaryDirectory() as folder:
        result = asyncio.run(run(loaded, Path(folder) / "run"))
        verdict = result.summary.verdict
        return {
            **figures(result.summary, RunFolder(result.folder)),
            "validity": verdict.validity,
            "reasons": verdict.reasons,
        }


def _quickstart_once() -> dict[str, Any]:
    """The shipped campaign through the command line, plots and all."""
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "quickstart"
        command = [sys.executable, "-m", "wsload", "campaign", "quickstart", "--out", str(out), "--quiet"]
        subprocess.run(command, check=False)
        took_s = time.monotonic() - began_s
        with (out / CAPACITY).open() as file:
            validities = [Validity(row["validity"]) for row in csv.DictReader(file)]
    worst = max(validities, key=list(Validity).index)
    return {"seconds": took_s, "cells": len(validities), "validity": worst, "reasons": []}


WORKLOADS: dict[str, Callable[[], dict[str, Any]]] = {
    "idle": partial(_run_once, IDLE_9000, _idle_figures),
    "echo": partial(_run_once, ECHO_10000, _echo_figures),
    "echo-max": partial(_run_once, ECHO_MAX, _echo_figures),
    "quickstart": _quickstart_once,
}
_ONCE = frozenset({"quickstart"})
"""A minute and a half of several runs already; it has no ratio that would need repeats."""
BARS: dict[tuple[str, str], tuple[str, float]] = {
    ("idle", "opened"): (">=", 9000),
    ("idle", "lost"): ("<=", 0),
    ("idle", "opened_per_s"): (">=", 3000),
    ("idle", "driver_bytes_per_tunnel"): ("<=", 4096),
    ("idle", "driver_to_haproxy_opening"): ("<=", 1.2),
    ("idle", "driver_to_haproxy_memory"): ("<=", 0.6),
    ("echo", "echoes_per_s"): (">=", 9900),  # else the ratio is of another load
    ("echo", "driver_to_haproxy"): ("<=", 0.8),
    ("echo-max", "driver_to_haproxy"): ("<=", 0.5),
    ("quickstart", "seconds"): ("<=", 120),
}
"""What has to be reached: (workload, figure) -> bound."""


def summarize(name: str, runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Medians, extremes and bars of a workload's runs. ``ok``: every bar is met and no result is invalid."""
    numbers = [figure for figure, value in runs[0].items() if isinstance(value, int | float)]
    medians = {figure: statistics.median(run[figure] for run in runs) for figure in numbers}
    bars = {
        figure: {"bound": f"{sign} {bound:g}", "met": _holds(medians[figure], sign, bound)}
        for (workload, figure), (sign, bound) in BARS.items()
        if workload == name
    }
    is_valid = all(run["validity"] != Validity.INVALID for run in runs)
    return {
        "ok": is_valid and all(bar["met"] for bar in bars.values()),
        "median": medians,
        "least_most": {
            figure: [min(run[figure] for run in runs), max(run[figure] for run in runs)] for figure in numbers
        },
        "bars": bars,
        "runs": list(runs),
    }


def _holds(value: float, sign: str, bound: float) -> bool:
    return value >= bound if sign == ">=" else value <= bound


def _table(name: str, result: Mapping[str, Any]) -> str:
    lines = []
    for figure, value in result["median"].items():
        bar = result["bars"].get(figure)
        mark = "" if bar is None else f"{'✓' if bar['met'] else '✗'} {bar['bound']}"
        least, most = result["least_most"][figure]
        lines.append(f"{name:10} {figure:28} {value:12.3f}  [{least:.3f}, {most:.3f}]  {mark}".rstrip())
    validities = ", ".join(run["validity"] for run in result["runs"])
    reasons = {reason for run in result["runs"] for reason in run["reasons"]}
    return "\n".join([*lines, f"{name:10} {validities}", *(f"{name:10} ! {reason}" for reason in reasons)])


def main() -> None:
    """Measure, print, and fail if a bar is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(WORKLOADS)}; default all"
    )
    parser.add_argument("--repeat", type=int, default=3, help="runs of each but quickstart; default 3")
    parser.add_argument("--out", type=Path, help="folder for the JSON and the table")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.workloads if name not in WORKLOADS]:
        parser.error(f"unknown workload {unknown[0]}; use {', '.join(WORKLOADS)}")
    results: dict[str, Any] = {}
    tables: list[str] = []
    for name in arguments.workloads or WORKLOADS:
        repeats = 1 if name in _ONCE else arguments.repeat
        results[name] = summarize(name, [WORKLOADS[name]() for _ in range(repeats)])
        tables.append(_table(name, results[name]))
        print(tables[-1], file=sys.stderr)
    result = json.dumps(results, indent=2)
    print(result)
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "driver-cost.json").write_text(result + "\n", encoding="utf-8")
        (arguments.out / "driver-cost.txt").write_text("\n".join(tables) + "\n", encoding="utf-8")
    sys.exit(0 if all(each["ok"] for each in results.values()) else 1)


if __name__ == "__main__":
    main()
