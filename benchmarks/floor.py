"""The floor under the driver's cost: a C client that asks the kernel for the same, and does nothing else.

``floor.c`` does two of ``driver_cost.py``'s workloads (saturated, and 10,000 echoes/s) through the same
HAProxy to the same backend, with one recv and one send a message. Then wsload runs the workload itself. What
the C client uses is what the kernel takes of any driver here, so a round tells how much of wsload's CPU is
its own. Prints JSON on stdout and a table on stderr. Needs a C compiler, ``cc``.

    python benchmarks/floor.py [--rounds N] [WORKLOAD ...]
"""

import argparse
import asyncio
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # of a script Python puts its own folder there

from benchmarks.driver_cost import ECHO_10000, ECHO_MAX
from benchmarks.scale_samples import Owner, sample_at, watch
from wsload.analysis.folder import RunFolder
from wsload.backend.process import EmbeddedBackend
from wsload.haproxy.process import HaproxyFleet
from wsload.profile.load import parse_profile
from wsload.profile.model import Profile
from wsload.units import NS_PER_S

SOURCE = Path(__file__).with_name("floor.c")
WORKLOADS = {"echo": ECHO_10000, "echo-max": ECHO_MAX}
WARMUP_S = 2


class Latencies(msgspec.Struct, rename={"p99_9": "p99.9"}):
    """What ``floor.c`` prints of a latency, in ms."""

    p50: float
    p99: float
    p99_9: float
    max: float


class Counted(msgspec.Struct):
    """What ``floor.c`` prints; ``wakes`` is how often ``epoll_wait`` returned."""

    echoes: int
    sent: int
    wakes: int
    user_s: float
    system_s: float
    lag_ms: Latencies
    echo_corrected_ms: Latencies
    echo_service_ms: Latencies


class Cost(msgspec.Struct):
    """CPU in us per echo of a client, and of what it ran against meanwhile."""

    echoes_per_s: float
    user_us: float
    system_us: float
    haproxy_us: float
    backend_us: float
    lag_p99_ms: float

    @property
    def client_us(self) -> float:
        """User and system."""
        return self.user_us + self.system_us


class Round(msgspec.Struct):
    """A workload, once by each client. ``echoes_per_wake`` is the C client's."""

    floor: Cost
    wsload: Cost
    echoes_per_wake: float


def build(compiler: str, folder: Path) -> Path:
    """The C client, compiled. Raises subprocess.CalledProcessError."""
    program = folder / "floor"
    subprocess.run([compiler, "-O2", "-o", str(program), str(SOURCE)], check=True)
    return program


def arguments(profile: Profile, endpoint: tuple[str, int], seconds: float) -> list[str]:
    """What ``floor.c`` is called with for a profile's load."""
    cohort, load = profile.cohorts[0], profile.load
    rate_per_s = 0.0 if cohort.rate_per_s is None else cohort.rate_per_s * load.tunnels
    numbers = (load.tunnels, rate_per_s, WARMUP_S, seconds, cohort.payload_bytes, load.timer_slack_ns)
    return [endpoint[0], str(endpoint[1]), profile.target.path, *map(str, numbers)]


async def floor_once(program: Path, profile: Profile, seconds: float, folder: Path) -> tuple[Cost, float]:
    """The C client against a HAProxy and a backend of its own; with it, echoes a wake-up.

    Raises RuntimeError with the client's own words if it fails.
    """
    backend = await EmbeddedBackend.start(profile.backend)
    try:
        fleet = await HaproxyFleet.start(profile.haproxy, backend.addresses, folder, profile.target.path)
        try:
            client = await asyncio.create_subprocess_exec(
                program,
                *arguments(profile, fleet.endpoints[0], seconds),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            assert client.stdout is not None
            await client.stdout.readline()  # "begin"
            before_s = [_cpu_s(pids) for pids in (fleet.pids, backend.pids)]
            line = await client.stdout.readline()
            after_s = [_cpu_s(pids) for pids in (fleet.pids, backend.pids)]
            _, words = await client.communicate()
            if client.returncode:
                raise RuntimeError(words.decode().strip())
        finally:
            await fleet.stop()
    finally:
        await backend.stop()
    counted = msgspec.json.decode(line, type=Counted)
    haproxy_us, backend_us = (
        (after - before) / counted.echoes * 1e6 for before, after in zip(before_s, after_s, strict=True)
    )
    cost = Cost(
        echoes_per_s=counted.echoes / seconds,
        user_us=counted.user_s / counted.echoes * 1e6,
        system_us=counted.system_s / counted.echoes * 1e6,
        haproxy_us=haproxy_us,
        backend_us=backend_us,
        lag_p99_ms=counted.lag_ms.p99,
    )
    return cost, counted.echoes / counted.wakes


def _cpu_s(pids: Sequence[int]) -> float:
    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return float(sum(each.user + each.system for each in times))


def wsload_once(text: str, seconds: float, folder: Path) -> Cost:
    """wsload's own run of a workload. CPU is that of the hold, sampled from outside.

    Raises RuntimeError with its own words if it leaves no summary.
    """
    (folder / "floor.toml").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "wsload", "run", str(folder / "floor.toml"), "--quiet", "--no-plots"]
    hold = ["--set", f"load.hold={round(seconds * 1000)}ms"]
    samples, _, words = watch([*command, *hold, "--out", str(folder / "run")])
    run = RunFolder(folder / "run")
    summary = run.summary()
    if summary is None:
        raise RuntimeError(words)
    hold_ns = run.info.start_monotonic_ns + round(run.info.ramp_s * NS_PER_S)
    first, last = sample_at(samples, hold_ns), sample_at(samples, hold_ns + round(run.info.hold_s * NS_PER_S))
    echoes_per_s: float = sum(summary.hold["counters"]["received"].values()) / run.info.hold_s
    echoes = echoes_per_s * (last.t_ns - first.t_ns) / NS_PER_S

    def used_us(owner: Owner) -> float:
        used_s = last.cpu_s[owner] - first.cpu_s[owner]
        return used_s / echoes * 1e6

    system_us = (last.system_s[Owner.DRIVER] - first.system_s[Owner.DRIVER]) / echoes * 1e6
    return Cost(
        echoes_per_s=echoes_per_s,
        user_us=used_us(Owner.DRIVER) - system_us,
        system_us=system_us,
        haproxy_us=used_us(Owner.HAPROXY),
        backend_us=used_us(Owner.BACKEND),
        lag_p99_ms=summary.driver["lag_p99_ms"],
    )


def measure(program: Path, text: str, seconds: float) -> Round:
    """Both clients, one after the other."""
    profile = parse_profile(text, "benchmark")
    with tempfile.TemporaryDirectory() as scratch:
        floor, echoes_per_wake = asyncio.run(floor_once(program, profile, seconds, Path(scratch)))
        return Round(floor, wsload_once(text, seconds, Path(scratch)), echoes_per_wake)


def figures(rounds: Sequence[Round]) -> dict[str, float]:
    """Medians over the rounds. ``kernel_share`` is what of wsload's CPU the C client needs in the kernel too,
    ``driver_to_floor`` the whole of the one to the whole of the other."""
    per_round = [
        {
            **{f"floor_{name}": value for name, value in _costs(each.floor).items()},
            **{f"wsload_{name}": value for name, value in _costs(each.wsload).items()},
            "echoes_per_wake": each.echoes_per_wake,
            "driver_to_floor": each.wsload.client_us / each.floor.client_us,
            "kernel_share": each.floor.system_us / each.wsload.client_us,
            "floor_to_haproxy": each.floor.client_us / each.floor.haproxy_us,
            "driver_to_haproxy": each.wsload.client_us / each.wsload.haproxy_us,
        }
        for each in rounds
    ]
    return {name: statistics.median(each[name] for each in per_round) for name in per_round[0]}


def _costs(cost: Cost) -> dict[str, float]:
    return {"client_us": cost.client_us, **msgspec.structs.asdict(cost)}


def table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """A line for each figure of each workload."""
    return "\n".join(
        f"{workload:10} {name:24} {value:12.3f}"
        for workload, result in results.items()
        for name, value in result["median"].items()
    )


def main() -> None:
    """Compile, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(WORKLOADS)}; default all"
    )
    parser.add_argument("--rounds", type=int, default=3, help="default 3")
    parser.add_argument("--seconds", type=float, default=8.0, help="that each client is measured; default 8")
    options = parser.parse_args()
    if unknown := [name for name in options.workloads if name not in WORKLOADS]:
        parser.error(f"unknown workload {unknown[0]}; use {', '.join(WORKLOADS)}")
    if (compiler := shutil.which("cc")) is None:
        parser.error('no C compiler found; type "sudo apt-get install gcc libc6-dev"')
    chosen = options.workloads or list(WORKLOADS)
    rounds: dict[str, list[Round]] = {name: [] for name in chosen}
    with tempfile.TemporaryDirectory() as folder:
        program = build(compiler, Path(folder))
        for _ in range(options.rounds):
            for name in chosen:
                rounds[name].append(measure(program, WORKLOADS[name], options.seconds))
    results = {
        name: {"median": figures(each), "rounds": msgspec.to_builtins(each)} for name, each in rounds.items()
    }
    print(table(results), file=sys.stderr)
    json.dump(results, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
