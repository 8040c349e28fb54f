"""Artillery with its own WebSocket engine."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from benchmarks.peer_tools.base import PAYLOAD, Latency, Launch, Target, Tool, Traffic, Workload

_QUIET = {"ARTILLERY_DISABLE_TELEMETRY": "true", "NO_UPDATE_NOTIFIER": "1"}
_NO_BROWSERS = ("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1", "PUPPETEER_SKIP_DOWNLOAD=1")


def find(tools: Path) -> list[str] | None:
    """In a folder of its own; it needs node on PATH."""
    program = tools / "artillery" / "node_modules" / ".bin" / "artillery"
    return [str(program)] if program.is_file() and shutil.which("node") else None


def install(tools: Path) -> Sequence[Sequence[str]]:
    """Without the scripts of its dependencies, which fetch browsers."""
    npm = (
        "npm",
        "install",
        "--prefix",
        str(tools / "artillery"),
        "--ignore-scripts",
        "--no-fund",
        "--no-audit",
    )
    return (("env", *_NO_BROWSERS, *npm, "artillery@2"),)


def prepare(program: Sequence[str], workload: Workload, target: Target, folder: Path) -> Launch:
    """A phase of ``arrivalCount`` tunnels; each sends and thinks in a loop, or thinks once.

    A "send" without "capture" or "match" does not wait for its reply, and costs Artillery least: with them it
    keeps a timer of ten seconds for each message.
    """
    step: dict[str, object] = {"think": _milliseconds(workload.stay_s)}
    if workload.traffic is Traffic.ECHO:
        count = round(workload.stay_s * workload.rate_per_s)
        step = {"loop": [{"send": PAYLOAD}, {"think": _milliseconds(workload.gap_s)}], "count": count}
    phase = {"duration": _milliseconds(workload.ramp_s), "arrivalCount": workload.tunnels}
    # JSON is YAML too.
    script = {
        "config": {"target": target.url, "phases": [phase]},
        "scenarios": [{"engine": "ws", "flow": [step]}],
    }
    (folder / "script.yml").write_text(json.dumps(script), encoding="utf-8")
    return Launch([*program, "run", "--quiet", "--output", "report.json", "script.yml"], _QUIET)


def _milliseconds(seconds: float) -> str:
    """As it takes fractions of a second."""
    return f"{round(1000 * seconds)}ms"


def latency(_folder: Path, _words: str) -> Latency:
    """Its WebSocket engine times no message."""
    return Latency()


TOOL = Tool(
    name="Artillery",
    find=find,
    version_arguments=("version",),
    prepare=prepare,
    latency=latency,
    install=install,
)
