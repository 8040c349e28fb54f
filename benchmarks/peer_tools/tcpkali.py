"""tcpkali, the one in C; used where it is found on PATH."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from benchmarks.peer_tools.base import PAYLOAD, Latency, Launch, Target, Tool, Traffic, Workload

_PERCENTILES = re.compile(r"^Message latency at percentiles:\s*([\d.]+)/([\d.]+) ms", re.MULTILINE)


def find(_tools: Path) -> list[str] | None:
    """On PATH."""
    program = shutil.which("tcpkali")
    return None if program is None else [program]


def prepare(program: Sequence[str], workload: Workload, target: Target, _folder: Path) -> Launch:
    """As its manual's examples: a marker in the message, which comes back in the echo, times it."""
    stay_s = workload.stay_s - workload.ramp_s  # it counts from the ramp's end
    words = ["--ws", "--connections", str(workload.tunnels)]
    words += ["--connect-rate", f"{workload.opened_per_s:g}", "--duration", f"{stay_s:g}s"]
    if workload.traffic is Traffic.ECHO:
        words += ["--message", PAYLOAD, "--message-rate", f"{workload.rate_per_s:g}"]
        words += ["--latency-marker", PAYLOAD, "--latency-percentiles", "50,99"]
    return Launch([*program, *words, f"{target.ip}:{target.port}{target.path}"])


def latency(_folder: Path, words: str) -> Latency:
    """From the line at its end."""
    found = _PERCENTILES.search(words)
    return Latency(p50_ms=float(found[1]), p99_ms=float(found[2])) if found else Latency()


TOOL = Tool(
    name="tcpkali",
    find=find,
    version_arguments=("--version",),
    prepare=prepare,
    latency=latency,
    has_memory_bar=False,
)
