"""Tools watched for real through real HAProxy: made ones, and wsload itself. No peer is started."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import psutil
import pytest

from benchmarks.peer_tools.base import PAYLOAD, Latency, Launch, Target, Tool, Traffic, Workload
from benchmarks.peers_figures import Measurement
from benchmarks.peers_run import adopting, measure, road
from tests.benchmarks.made_peers import ECHO, IDLE, measurement

pytestmark = pytest.mark.e2e

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "peers.py"
SMALL = Workload(Traffic.ECHO, tunnels=20, ramp_s=0.5, hold_s=1.5, rate_per_s=10.0)

CLIENT = """
import socket, sys, time
ip, port, tunnels = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
request = (
    "GET /ws HTTP/1.1\\r\\nHost: made\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\nSec-WebSocket-Version: 13\\r\\n\\r\\n"
)
sockets = [socket.create_connection((ip, port)) for _ in range(tunnels)]
for each in sockets:
    each.sendall(request.encode())
    assert b" 101 " in each.recv(4096)
began_s = time.monotonic()
for number in range(50):
    for each in sockets:
        each.sendall(bytes([0x81, 0x80 | 64, 0, 0, 0, 0]) + sys.argv[4].encode())
    for each in sockets:
        each.recv(4096)
    used_s = time.process_time()
    while time.process_time() < used_s + 0.02:  # the kernel counts CPU in hundredths of a second
        pass
    time.sleep(max(0, began_s + number / 10 - time.monotonic()))
print("done")
"""


def made_tool(name: str, arguments: Sequence[str]) -> Tool:
    """A program that is given the target and the number of tunnels."""

    def prepare(program: Sequence[str], workload: Workload, target: Target, _folder: Path) -> Launch:
        return Launch([*program, target.ip, str(target.port), str(workload.tunnels), PAYLOAD])

    return Tool(
        name=name,
        find=lambda _tools: list(arguments),
        version_arguments=(),
        prepare=prepare,
        latency=lambda _folder, words: Latency(p50_ms=float(len(words))),
    )


def measured_in_turn(*tools: Tool) -> list[Measurement]:
    async def in_turn() -> list[Measurement]:
        async with road(SMALL.tunnels) as here:
            return [
                await measure(tool, tool.find(Path()) or [], "1.0", SMALL, here, round_number=1)
                for tool in tools
            ]

    with adopting():
        return asyncio.run(in_turn())


def test_a_tool_that_fails_is_named_and_its_daemon_ended_and_the_next_one_goes_on() -> None:
    # The daemon leaves its parent's session, as Erlang's name server does.
    left = "setsid sleep 987 & echo no such scenario >&2; exit 3"
    failing = made_tool("failing", ["sh", "-c", left])
    working = made_tool("working", [sys.executable, "-c", CLIENT])
    failed, well = measured_in_turn(failing, working)
    assert failed.error == "exit status 3: no such scenario"
    assert not [each for each in psutil.process_iter(["cmdline"]) if each.info["cmdline"] == ["sleep", "987"]]
    assert well.error == ""
    assert well.held == SMALL.tunnels
    assert well.echoes_per_s == pytest.approx(200, rel=0.25)
    assert well.latency.p50_ms == len("done\n")
    assert well.processes == 1
    assert well.peak_bytes >= well.steady_bytes > 1_000_000
    assert well.cpu_us_per_echo == pytest.approx(1000, rel=0.5)  # 20 ms for 20 echoes, and sending them


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=False
    )


def test_a_missing_tool_ends_it_before_anything_is_started(tmp_path: Path) -> None:
    done = run("Locust", "--tools", str(tmp_path), "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    assert "Locust" in done.stderr
    assert "--install" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_record_is_reported_again_without_running_anything(tmp_path: Path) -> None:
    record = tmp_path / "peers.jsonl"
    lines = [
        measurement("wsload", cpu_us_per_echo=10.0),
        measurement("Locust", ECHO, cpu_us_per_echo=30.0),
        measurement("Locust", IDLE, bytes_per_tunnel=20_000.0),
    ]
    record.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    done = run("--report", str(record))
    assert done.returncode == 1
    assert "MISSED CPU per echo: Locust: 3.0 times ours, asked >= 4" in done.stdout
    assert (tmp_path / "peers.txt").read_text() == done.stdout
    written = msgspec.json.decode((tmp_path / "peers.json").read_bytes())
    assert written["bars"]["CPU per echo: Locust"] == {"ratio": 3.0, "bound": ">= 4", "met": False}
    assert (tmp_path / "peers.png").stat().st_size > 10_000


def test_a_file_that_is_no_record_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "peers.jsonl").write_text("{}\n")
    done = run("--report", str(tmp_path / "peers.jsonl"))
    assert done.returncode == 2
    assert "no record of peers" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_sigterm_ends_all_processes_and_leaves_no_folder(tmp_path: Path) -> None:
    scratch, out = tmp_path / "scratch", tmp_path / "out"
    scratch.mkdir()
    load = ("--rounds", "1", "--idle", "0", "--echo", "20", "--hold", "60", "--out", str(out))
    with subprocess.Popen(
        [sys.executable, str(SCRIPT), "wsload", *load],
        env={**os.environ, "TMPDIR": str(scratch)},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        started = wait_for_driver(process.pid)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate()
    assert process.returncode == 105
    assert said.splitlines()[-1] == "peers.py: interrupted; what was measured is kept"
    assert not [each for each in started if each.is_running()]
    assert not list(scratch.iterdir())


def wait_for_driver(pid: int) -> list[psutil.Process]:
    """All processes below one, once wsload's driver is among them."""
    deadline_s = time.monotonic() + 30
    while time.monotonic() < deadline_s:
        below: list[psutil.Process] = psutil.Process(pid).children(recursive=True)
        if any("wsload.driver" in command for command in commands(below)):
            return below
        time.sleep(0.1)
    raise AssertionError("no driver was started")


def commands(processes: Sequence[psutil.Process]) -> list[list[str]]:
    found: list[list[str]] = []
    for each in processes:
        try:
            found.append(each.cmdline())
        except psutil.Error:
            continue
    return found
