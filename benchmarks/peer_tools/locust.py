"""Locust with websocket-client: a ``User`` of our own, as Locust itself speaks HTTP and Socket.IO alone."""

import csv
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.peer_tools.base import PAYLOAD, Latency, Launch, Target, Tool, Traffic, Workload

# "Testing non-HTTP systems" of its manual: a client that gevent can patch, and a "request" event an echo.
# websocket-client's page: skip_utf8_validation, and wsaccel beside it, are what makes it quicker.
_USER = """
import time

import websocket
from locust import User, constant, constant_throughput, task


class Tunnel(User):
    wait_time = {wait_time}

    def on_start(self):
        self.fire = self.environment.events.request.fire
        self.socket = websocket.create_connection(
            "{url}", enable_multithread=False, skip_utf8_validation=True
        )

    def on_stop(self):
        self.socket.close()

    @task
    def work(self):
        {work}
"""
_ECHO = f"""began_s, problem = time.perf_counter(), None
        try:
            self.socket.send("{PAYLOAD}")
            self.socket.recv()
        except Exception as error:
            problem = error
        self.fire(
            request_type="WS",
            name="echo",
            response_time=(time.perf_counter() - began_s) * 1000,
            response_length={len(PAYLOAD)},
            exception=problem,
            context={{}},
        )"""


def find(tools: Path) -> list[str] | None:
    """In a virtual environment of its own."""
    program = tools / "locust" / "bin" / "locust"
    return [str(program)] if program.is_file() else None


def install(tools: Path) -> Sequence[Sequence[str]]:
    """websocket-client's "optional" is wsaccel."""
    place = tools / "locust"
    packages = ("locust>=2.30,<3", "websocket-client[optional]")
    return (
        (sys.executable, "-m", "venv", str(place)),
        (str(place / "bin" / "pip"), "install", "--quiet", *packages),
    )


def prepare(program: Sequence[str], workload: Workload, target: Target, folder: Path) -> Launch:
    """Headless and summary only; the statistics start over when the ramp is done, as its manual offers."""
    is_echo = workload.traffic is Traffic.ECHO
    text = _USER.format(
        url=target.url,
        wait_time=f"constant_throughput({workload.rate_per_s})" if is_echo else "constant(3600)",
        work=_ECHO if is_echo else "pass",
    )
    (folder / "locustfile.py").write_text(text, encoding="utf-8")
    options = {
        "--users": workload.tunnels,
        "--spawn-rate": workload.opened_per_s,
        "--run-time": f"{round(workload.stay_s)}s",
        "--stop-timeout": 0,
        "--csv": "locust",
        "--loglevel": "WARNING",
        "--exit-code-on-error": 0,
    }
    words = [str(word) for option in options.items() for word in option]
    return Launch([*program, "--headless", "--reset-stats", "--only-summary", *words])


def latency(folder: Path, _words: str) -> Latency:
    """From the row of all echoes in its CSV."""
    with (folder / "locust_stats.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["Name"] == "echo":
                return Latency(
                    p50_ms=float(row["50%"]),
                    p99_ms=float(row["99%"]),
                    mean_ms=float(row["Average Response Time"]),
                )
    return Latency()


TOOL = Tool(
    name="Locust",
    find=find,
    version_arguments=("--version",),
    prepare=prepare,
    latency=latency,
    install=install,
)
