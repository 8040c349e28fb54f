"""wsload itself, as its users start it: ``wsload run`` with ``via = "url"``, its whole record and report."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.peer_tools.base import SETTLE_S, Latency, Launch, Target, Tool, Traffic, Workload
from wsload.plan.preflight import read_machine
from wsload.plan.sharding import make_plan
from wsload.profile.load import parse_profile

NAME = "wsload"
_PROFILE = """
title = "peers-{traffic}"
[target]
via = "url"
url = "{url}"
[load]
tunnels = {tunnels}
ramp = "{ramp_ms}ms"
hold = "{hold_ms}ms"
drain = "5s"
workers = {workers}
[[cohort]]
name = "{traffic}"
"""
_CHATTY = """
traffic = "chatty"
rate = "{rate_per_s}/s"
arrivals = "even"
payload = "64B"
"""


def find(_tools: Path) -> list[str] | None:
    """Always there: it is this checkout."""
    return [sys.executable, "-m", "wsload"]


def prepare(program: Sequence[str], workload: Workload, target: Target, folder: Path) -> Launch:
    """Its hold lasts beyond the measured window; workers are those that "auto" gives."""
    is_echo = workload.traffic is Traffic.ECHO
    profile = _PROFILE + (_CHATTY if is_echo else "")
    values = {
        "traffic": workload.traffic,
        "url": target.url,
        "ramp_ms": round(workload.ramp_s * 1000),
        "hold_ms": round((workload.hold_s + 2 * SETTLE_S) * 1000),
        "rate_per_s": workload.rate_per_s,
    }
    text = profile.format(tunnels=max(workload.tunnels, workload.sized_for), workers='"auto"', **values)
    workers = make_plan(parse_profile(text, "peers"), read_machine()).workers
    text = profile.format(tunnels=workload.tunnels, workers=workers, **values)
    (folder / "peers.toml").write_text(text, encoding="utf-8")
    return Launch([*program, "run", "peers.toml", "--out", "run", "--json"])


def latency(_folder: Path, words: str) -> Latency:
    """From the summary on stdout; both ways of counting."""
    metrics = json.loads(words)["metrics"]
    service, corrected = (metrics[name]["all"] for name in ("echo_service", "echo_corrected"))
    return Latency(
        p50_ms=service["p50"],
        p99_ms=service["p99"],
        mean_ms=service["mean"],
        corrected_p50_ms=corrected["p50"],
        corrected_p99_ms=corrected["p99"],
    )


TOOL = Tool(
    name=NAME,
    find=find,
    version_arguments=("--version",),
    prepare=prepare,
    latency=latency,
    has_memory_bar=False,
)
