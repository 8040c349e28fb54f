"""How late messages leave, over time, and whose fault the late ones are.

Each setting is one ordinary ``wsload run`` of 1,000 tunnels in a process of its own. ``apart``: 10,000
echoes/s, the driver on the first core (with wsload's recording process), HAProxy and backend on the last.
``shared``: 4,000 echoes/s, nothing pinned. The backend notes the stamps of all messages, so lag is known
message by message and the run does nothing that others do not; a witness with real-time priority on the
driver's core tells what the machine did meanwhile. Prints JSON on stdout and a table on stderr, and writes
them and plots into ``--out``. The exit code is 1 where a bar is missed: lag p99 <= 0.3 ms, and no periodic
spike above 2 ms that is ours (precision_figures.py says how that is decided).

    python benchmarks/precision.py [--hold 60s] [--out DIR] [SETTING ...]
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # of a script Python puts its own folder there

from benchmarks.precision_figures import (
    OURS,
    SETTINGS,
    Messages,
    Result,
    Setting,
    WitnessNotes,
    lateness,
    limits_of,
    profile_text,
    rhythm_of,
    spikes_of,
    table,
)
from benchmarks.precision_plot import write_precision_plot
from benchmarks.scale_samples import Owner, owner_of
from wsload.analysis.folder import RunFolder
from wsload.haproxy.process import find_binary, version
from wsload.record.layout import PLAN, SUMMARY
from wsload.record.placement import core_words
from wsload.units import NS_PER_S, format_duration, parse_duration_ns

ROOT = Path(__file__).resolve().parents[1]
CORES = sorted(os.sched_getaffinity(0))
_START_TIMEOUT_S = 30.0


def measure(setting: Setting, hold_ns: int, out: Path) -> Result:
    """One run, its stamps and its witnesses; draws its plot too.

    Raises RuntimeError with the run's own words if it fails.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        backend_cores = CORES[-1:] if setting.apart else CORES
        with _child("precision_stamps", ",".join(map(str, backend_cores)), folder / "stamps.npy") as (
            backend,
            port,
        ):
            profile = folder / "precision.toml"
            profile.write_text(
                profile_text(setting, hold_ns, f"127.0.0.1:{port}", CORES[-1]), encoding="utf-8"
            )
            witnessed = _run(profile, folder, backend.pid)
        run = RunFolder(folder / "run")
        summary = run.summary()
        assert summary is not None
        from_ns = run.info.start_monotonic_ns + round(run.info.ramp_s * NS_PER_S)
        messages = Messages(np.load(folder / "stamps.npy"), from_ns, from_ns + hold_ns)
        witnesses = [WitnessNotes(np.load(path)) for path in witnessed.files]
    spikes = spikes_of(messages, witnesses)
    length_s = hold_ns / NS_PER_S
    result = Result(
        setting=setting,
        cores=f"{summary.cores}, backend on {core_words(backend_cores)}",
        length_s=length_s,
        validity=summary.verdict.validity,
        reasons=summary.verdict.reasons,
        sent=sum(summary.hold["counters"]["sent"].values()),
        noted=len(messages.lag_ns),
        lag_ms=messages.lag(),
        wsload_lag_p99_ms=summary.driver["lag_p99_ms"],
        host_late_ms=lateness(witnesses, from_ns, from_ns + hold_ns),
        witness_priority=witnessed.priority,
        cpu_cores=witnessed.cpu_cores,
        waited_share=witnesses[0].waited_share(),
        spikes=spikes,
        rhythm=rhythm_of([spike.t_s for spike in spikes if spike.cause in OURS], length_s),
    )
    result.limits = limits_of(result)
    write_precision_plot(result, messages, witnesses, setting_words(witnessed.priority), out)
    return result


class Witnessed(msgspec.Struct):
    """What was seen of a run from outside."""

    files: list[Path]
    priority: str
    cpu_cores: dict[str, float]


def _run(profile: Path, folder: Path, backend_pid: int) -> Witnessed:
    """Run it to its end, with a witness on each core that its driver may use while it holds."""
    command = [sys.executable, "-m", "wsload", "run", str(profile), "--out", str(folder / "run"), "--quiet"]
    with subprocess.Popen(
        [*command, "--no-plots"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            plan = folder / "run" / PLAN
            deadline_s = time.monotonic() + _START_TIMEOUT_S
            while not plan.exists() and process.poll() is None and time.monotonic() < deadline_s:
                time.sleep(0.02)
            witnessed = _watch(process.pid, backend_pid, folder) if process.poll() is None else None
            _, words = process.communicate()
        except BaseException:
            process.send_signal(signal.SIGTERM)
            raise
    if witnessed is None or not (folder / "run" / SUMMARY).exists():
        raise RuntimeError(words.strip() or "the run ended without a word")
    return witnessed


def _watch(parent_pid: int, backend_pid: int, folder: Path) -> Witnessed:
    """From before the hold until its end."""
    info = RunFolder(folder / "run").info
    children = psutil.Process(parent_pid).children()
    owners = {owner_of(child.cmdline()): child for child in children}
    driver, haproxy = owners[Owner.DRIVER], owners[Owner.HAPROXY]
    cores = driver.cpu_affinity()

    def beside(*pids: int) -> list[int]:
        """Those that may run on a core of the driver's."""
        return [pid for pid in pids if set(psutil.Process(pid).cpu_affinity()) & set(cores)]

    pids = [driver.pid, "--parent", *beside(parent_pid), "--system", *beside(haproxy.pid, backend_pid)]
    files = [folder / f"witness-{core}.npy" for core in cores]
    started = [
        _child("precision_witness", str(core), file, *pids) for core, file in zip(cores, files, strict=True)
    ]
    entered = [each.__enter__() for each in started]
    try:
        parts = {
            "driver": [driver.pid],
            "parent": [parent_pid],
            "haproxy": [haproxy.pid],
            "backend": [backend_pid],
            "witness": [process.pid for process, _ in entered],
        }
        _sleep_until(info.start_monotonic_ns / NS_PER_S + info.ramp_s)
        before, began_s = _used_s(parts), time.monotonic()
        _sleep_until(info.start_monotonic_ns / NS_PER_S + info.ramp_s + info.hold_s)
        after, ended_s = _used_s(parts), time.monotonic()
    finally:
        for each in started:
            each.__exit__(None, None, None)
    cpu_cores = {name: round((after[name] - before[name]) / (ended_s - began_s), 4) for name in after}
    return Witnessed(files, entered[0][1], cpu_cores)


def _used_s(parts: dict[str, list[int]]) -> dict[str, float]:
    """CPU seconds of each part so far, and those that the hypervisor kept for itself."""
    used = {
        name: sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids) for name, pids in parts.items()
    }
    return {**used, "stolen": psutil.cpu_times().steal}


def _sleep_until(at_s: float) -> None:
    time.sleep(max(at_s - time.monotonic(), 0.0))


@contextmanager
def _child(module: str, *arguments: object) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """One of this benchmark's own processes, and what it says when ready; it ends with the block."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.send_signal(signal.SIGTERM)


def setting_words(priority: str) -> list[str]:
    """What the figures hold for."""
    return [
        f"{len(CORES)} cores, Linux {platform.release()}",
        f"HAProxy {version(find_binary('haproxy'))}",
        f"witness with {priority} priority",
    ]


def report(results: Sequence[Result]) -> dict[str, Any]:
    """What is printed as JSON."""
    return {
        "ok": not any(result.limits for result in results),
        "setting": setting_words(results[0].witness_priority),
        "results": msgspec.to_builtins(results),
    }


def main() -> None:
    """Measure each setting, print, and fail where a bar is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    named = {setting.name: setting for setting in SETTINGS}
    parser.add_argument("settings", nargs="*", metavar="SETTING", help=f"of {', '.join(named)}; default all")
    parser.add_argument("--hold", type=parse_duration_ns, default="60s", help="default 60s")
    parser.add_argument(
        "--out", type=Path, default=Path("results/precision"), help="default results/precision"
    )
    options = parser.parse_args()
    if unknown := [name for name in options.settings if name not in named]:
        parser.error(f"unknown setting {unknown[0]}; use {', '.join(named)}")
    if len(CORES) < 2:
        parser.error("this machine lets us use one core; two are needed to keep the driver apart")
    results = []
    for name in options.settings or named:
        print(f"{name}, {format_duration(options.hold)} ...", file=sys.stderr)
        results.append(measure(named[name], options.hold, options.out))
    text, printed = table(results), json.dumps(report(results), indent=2)
    print(text, file=sys.stderr)
    print(printed)
    (options.out / "precision.json").write_text(printed + "\n", encoding="utf-8")
    (options.out / "precision.txt").write_text(text + "\n", encoding="utf-8")
    sys.exit(1 if any(result.limits for result in results) else 0)


if __name__ == "__main__":
    main()
