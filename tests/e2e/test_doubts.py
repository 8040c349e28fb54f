"""Each doubt made to happen for real, and named: in its interval, in the verdict, and on the terminal.

One is not made whole: no test may set the machine's clock, or suspend it. Those jumps are made readings, in
tests/run/test_host.py; here, the clock source is a file that is mounted over the kernel's.
"""

import contextlib
import mmap
import os
import re
import resource
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.e2e.command import Command, Ended, run_arguments, start
from tests.e2e.namespace import CONNTRACK_MAX, MOST_ENTRIES, in_namespace, require_root, within
from tests.e2e.scenarios import scenario
from wsload.errors import ExitCode
from wsload.record.outcome import Doubt, Phase
from wsload.record.summary import DoubtfulSpan

pytestmark = pytest.mark.e2e

IDLE = '[[cohort]]\nname = "idle"\n'
FLOOD = """
[backend]
reply = "sink"

[[cohort]]
name = "flood"
traffic = "chatty"
rate = "3000/s"
match = "none"
"""
REPOSITORY = Path(__file__).parents[2]
MADV_PAGEOUT = 21
"""linux/mman.h; not in the mmap module."""
CLOCKSOURCE = "/sys/devices/system/clocksource/clocksource0/current_clocksource"


def spans(ended: Ended, doubt: Doubt) -> list[DoubtfulSpan]:
    return [span for span in ended.summary.doubts if doubt in span.doubts]


def words(ended: Ended, doubt: Doubt) -> str:
    """What the spans say of a doubt."""
    found = spans(ended, doubt)
    assert found, f"{ended.summary.doubts}, {ended.reasons}"
    return "; ".join(span.reasons[span.doubts.index(doubt)] for span in found)


def on_terminal(ended: Ended) -> str:
    return " ".join(ended.out.split())


def stop_a_worker(folder: Path) -> Ended:
    command = start(folder, load__hold="5s", load__interval="500ms", load__lag_limit="300ms")
    command.reach(Phase.HOLD, 3)
    worker = command.child("wsload.driver")
    worker.suspend()
    time.sleep(2.0)
    worker.resume()
    return command.end()


@scenario(stop_a_worker)
def test_a_worker_that_stood_still_lagged(ended: Ended) -> None:
    assert "over the limit of 300ms, so latencies are the generator's own" in words(ended, Doubt.LAG)
    assert {span.validity for span in spans(ended, Doubt.LAG)} == {"invalid"}
    summary = ended.summary
    assert summary.intervals.left_out >= 3
    assert summary.hold["left_out_s"] >= 1.5
    assert summary.metrics["echo_corrected"]["chatty"]["p99"] < 300 < summary.driver["lag_p99_ms"]
    assert ended.code == ExitCode.INVALID_RESULT
    assert "intervals of the hold were invalid (lag" in ended.reasons
    assert "invalid (lag" in on_terminal(ended)


def ask_too_much(folder: Path) -> Ended:
    command = start(
        folder,
        profile=FLOOD,
        target__via="direct",
        load__tunnels="100",
        load__hold="1s",
        load__interval="250ms",
        load__lag_limit="100ms",
    )
    if os.geteuid() == 0:  # this machine has other things to do, and the worker is to get its core
        command.child("wsload.driver").nice(-15)
    return command.end()


@scenario(ask_too_much)
def test_a_driver_that_is_asked_for_too_much_is_busy_and_behind(ended: Ended) -> None:
    assert ended.code == ExitCode.INVALID_RESULT
    assert "driver worker 0 used 9" in words(ended, Doubt.WORKER_CPU).replace("100 %", "99 %")
    assert "an opening or message was " in words(ended, Doubt.BEHIND)
    assert "behind its schedule" in words(ended, Doubt.BEHIND)
    assert "over the limit of 100ms" in words(ended, Doubt.LAG)
    assert ended.summary.driver["lag_p99_ms"] > 100


def stop_the_reader(folder: Path) -> Ended:
    """All tunnels are cut while nobody reads the log, into a receive buffer of a few lines."""
    arguments = run_arguments(folder, IDLE, load__hold="4s", haproxy__timeouts__tunnel="1500ms")
    small = (
        "from wsload.haproxy import log; log.RECEIVE_BUFFER_BYTES = 8192; from wsload.cli.main import main"
    )
    command = Command([], folder, shell=f"exec {sys.executable} -c '{small}; main()' {shlex.join(arguments)}")
    command.reach(Phase.HOLD, 1)
    command.signal(signal.SIGSTOP)
    time.sleep(2.0)
    command.signal(signal.SIGCONT)
    return command.end()


@scenario(stop_the_reader)
def test_log_lines_that_nobody_took_are_missed(ended: Ended) -> None:
    assert "of HAProxy's log did not arrive" in words(ended, Doubt.LOST_LOGS)
    assert "of HAProxy's log did not arrive" in ended.reasons
    assert ended.actions("haproxy_log")[0].detail["lost"] > 0


def take_the_ports(folder: Path) -> Ended:
    require_root("ip", "unshare", "nsenter")
    arguments = run_arguments(folder, IDLE, target__via="direct", load__ramp="2s")
    command = in_namespace(arguments, folder)
    command.reach(Phase.OPEN, 1)
    within(command, "echo 50000 50003 > /proc/sys/net/ipv4/ip_local_port_range")
    return command.end()


@scenario(take_the_ports)
def test_openings_without_a_local_port_are_the_drivers_fault(ended: Ended) -> None:
    assert ended.code == ExitCode.INVALID_RESULT
    assert "found no free local port; name more addresses of this host" in words(ended, Doubt.NO_PORT)
    assert "openings found no free local port of the driver's own" in ended.reasons
    assert sum(ended.summary.handshake_failures.values()) == ended.summary.handshake_failures["no_port"] > 0


def take_the_descriptors(folder: Path) -> Ended:
    command = start(folder, profile=IDLE, target__via="direct", load__ramp="2s")
    command.reach(Phase.OPEN, 1)
    command.child("wsload.driver").rlimit(resource.RLIMIT_NOFILE, (60, 60))
    return command.end()


@scenario(take_the_descriptors)
def test_openings_without_a_descriptor_are_the_drivers_fault(ended: Ended) -> None:
    assert ended.code == ExitCode.INVALID_RESULT
    assert "found no free file descriptor; raise the limit" in words(ended, Doubt.NO_DESCRIPTOR)
    assert "openings found no free file descriptor of the driver's own" in ended.reasons
    assert ended.summary.handshake_failures["no_descriptor"] > 50


def fill_the_table(folder: Path) -> Ended:
    require_root("ip", "unshare")
    if not CONNTRACK_MAX.exists() or int(CONNTRACK_MAX.read_text()) > MOST_ENTRIES:
        pytest.skip("conntrack is not loaded, or its table is too large to be filled")
    fill = "from tests.e2e.namespace import fill_conntrack; fill_conntrack(60)"
    arguments = run_arguments(
        folder, IDLE, target__via="direct", load__handshake_timeout="500ms", load__hold="500ms"
    )
    command = in_namespace(arguments, folder, f"PYTHONPATH={REPOSITORY} {sys.executable} -c '{fill}'")
    return command.end()


@scenario(fill_the_table)
def test_a_full_conntrack_table_is_named(ended: Ended) -> None:
    found = words(ended, Doubt.CONNTRACK)
    size = f"{int(CONNTRACK_MAX.read_text()):,}"
    assert f"conntrack's table held {size} of {size} connections and dropped " in found
    assert "invalid" in {span.validity for span in spans(ended, Doubt.CONNTRACK)}
    assert 0 < ended.summary.tunnels.opened <= 60


@contextlib.contextmanager
def hogs(seconds: float) -> Iterator[None]:
    """Every core has something to do, for that long at most."""
    spin = f"import time\nend = time.monotonic() + {seconds}\nwhile time.monotonic() < end: pass"
    spinning = [subprocess.Popen([sys.executable, "-c", spin]) for _ in range(psutil.cpu_count() or 1)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


def share_with_hogs(folder: Path) -> Ended:
    with hogs(20.0):
        return start(folder, load__hold="3s", load__interval="500ms").end()


@scenario(share_with_hogs)
def test_cores_that_others_keep_busy_are_named(ended: Ended) -> None:
    found = words(ended, Doubt.HOST_CPU)
    assert "that driver, HAProxy and backend share were" in found
    assert "keep them apart (--set load.pin=true), free cores, or lower the load" in found
    assert "of the hold the " in ended.reasons
    assert {span.validity for span in spans(ended, Doubt.HOST_CPU)} == {"suspect"}


def change_the_clock_source(folder: Path) -> Ended:
    require_root("ip", "unshare")
    source = folder.parent / "current_clocksource"
    source.write_text("tsc\n")
    mount = f"mount --bind {source} {CLOCKSOURCE}"
    arguments = run_arguments(folder, target__via="direct")
    command = in_namespace(arguments, folder, mount, "--mount")
    command.reach(Phase.HOLD, 2)
    source.write_text("hpet\n")
    return command.end()


@scenario(change_the_clock_source)
def test_a_clock_source_that_was_given_up_is_named(ended: Ended) -> None:
    assert "the kernel gave up its clock source tsc for hpet" in words(ended, Doubt.CLOCK)
    assert "the kernel gave up its clock source tsc for hpet" in ended.reasons
    assert len(spans(ended, Doubt.CLOCK)) == 1


def swap_out(folder: Path) -> Ended:
    require_root("mkswap", "swapon")
    file = folder.parent / "swapfile"
    file.write_bytes(b"\0" * 64 * 2**20)
    file.chmod(0o600)
    subprocess.run(["mkswap", file], check=True, capture_output=True)
    made = subprocess.run(["swapon", file], capture_output=True, text=True)
    if made.returncode != 0:
        pytest.skip(f"a file cannot be swapped to here: {made.stderr.strip()}")
    try:
        with mmap.mmap(-1, 16 * 2**20) as memory:
            memory.write(os.urandom(len(memory)))
            command = start(folder, target__via="direct", load__hold="2s")
            command.reach(Phase.HOLD, 2)
            memory.madvise(MADV_PAGEOUT)
            return command.end()
    finally:
        subprocess.run(["swapoff", file], check=True)
        file.unlink()


@scenario(swap_out)
def test_memory_that_goes_to_swap_is_named(ended: Ended) -> None:
    assert "MiB to or from swap; free memory" in words(ended, Doubt.SWAP)
    assert re.search(r"suspect \([a-z_, ]*swap", on_terminal(ended))
