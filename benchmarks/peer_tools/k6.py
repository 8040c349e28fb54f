"""k6 with its module ``k6/websockets``; used where it is found on PATH."""

import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path

from benchmarks.peer_tools.base import PAYLOAD, Latency, Launch, Target, Tool, Traffic, Workload

_TUNNELS_PER_VU = 50
# Page "websockets" of its manual: one VU holds many tunnels on its event loop, "which improves performance".
_SCRIPT = """
import { WebSocket } from 'k6/websockets';
import { Trend } from 'k6/metrics';
import exec from 'k6/execution';

const plan = %s;
const echo = new Trend('echo', true);

export const options = {
  scenarios: {
    tunnels: {
      executor: 'per-vu-iterations',
      vus: plan.vus,
      iterations: 1,
      maxDuration: `${plan.stay_s + 60}s`,
    },
  },
};

export default function () {
  const mine = exec.vu.idInTest - 1;
  for (let tunnel = mine; tunnel < plan.tunnels; tunnel += plan.vus) {
    setTimeout(() => open(plan.stay_s), (1000 * tunnel) / plan.opened_per_s);
  }
}

function open(stay_s) {
  const socket = new WebSocket(plan.url);
  socket.onopen = () => {
    let sent = 0;
    if (plan.gap_ms) {
      const timer = setInterval(() => {
        sent = Date.now();
        socket.send(plan.payload);
      }, plan.gap_ms);
      socket.onmessage = () => echo.add(Date.now() - sent);
      setTimeout(() => clearInterval(timer), stay_s * 1000);
    }
    setTimeout(() => socket.close(), stay_s * 1000);
  };
}
"""


def find(_tools: Path) -> list[str] | None:
    """On PATH."""
    program = shutil.which("k6")
    return None if program is None else [program]


def prepare(program: Sequence[str], workload: Workload, target: Target, folder: Path) -> Launch:
    """It times no message by itself: a Trend of the script's own does."""
    plan = {
        "url": target.url,
        "tunnels": workload.tunnels,
        "vus": math.ceil(max(workload.tunnels, workload.sized_for) / _TUNNELS_PER_VU),
        "opened_per_s": workload.opened_per_s,
        "stay_s": workload.stay_s,
        "gap_ms": round(1000 * workload.gap_s) if workload.traffic is Traffic.ECHO else 0,
        "payload": PAYLOAD,
    }
    (folder / "script.js").write_text(_SCRIPT % json.dumps(plan), encoding="utf-8")
    options = ("--quiet", "--no-usage-report", "--summary-export", "summary.json")
    return Launch([*program, "run", *options, "--summary-trend-stats", "avg,med,p(99)", "script.js"])


def latency(folder: Path, _words: str) -> Latency:
    """Of the Trend, from the summary's export."""
    metrics = json.loads((folder / "summary.json").read_text(encoding="utf-8"))["metrics"]
    echo = metrics.get("echo", {})
    return Latency(p50_ms=echo.get("med"), p99_ms=echo.get("p(99)"), mean_ms=echo.get("avg"))


TOOL = Tool(name="k6", find=find, version_arguments=("version",), prepare=prepare, latency=latency)
