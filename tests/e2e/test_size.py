"""What ``wsload size`` says against a real HAProxy: its lines are accepted, its descriptors are exact."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.binaries import BINARIES
from tests.e2e.command import until
from wsload.haproxy.config import abns_address
from wsload.haproxy.process import free_ports
from wsload.haproxy.stats import parse_info

pytestmark = pytest.mark.e2e

THREADS = min(len(os.sched_getaffinity(0)), 2)
"""More than there are cores makes HAProxy 3.0 warn, and no warning is let pass."""
REST = """
global
    stats socket abns@{name} level admin

frontend clients
    bind 127.0.0.1:{first}
    bind 127.0.0.1:{second}
    default_backend tunnels

backend tunnels
    server one 127.0.0.1:9 check
    server two 127.0.0.1:9 check
"""


def asked(*words: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "wsload", "size", "--json", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def info_of(name: str) -> dict[str, str]:
    """``show info``; nothing while nobody answers."""
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.connect(abns_address(name))
        except OSError:
            return {}
        sock.sendall(b"show info\n")
        words = b""
        while part := sock.recv(65536):
            words += part
    return parse_info(words.decode())


@pytest.mark.parametrize("binary", [name for name in BINARIES if shutil.which(name)])
def test_the_lines_make_an_haproxy_with_exactly_the_descriptors_that_size_says(
    binary: str, tmp_path: Path
) -> None:
    answer = asked(
        *("--tunnels", "2k", "--threads", str(THREADS), "--binds", "2", "--checks", "2"),
        *("--vanish", "2%/min", "--timeout", "tunnel=10m", "--timeout", "client-fin=1500ms"),
        *("--timeout", "hard-stop-after=1h", "--tcp-ut", "30s", "--sources", "2"),
    )
    first, second = free_ports(2)
    name = f"wsload-size-{os.getpid()}-{first}"
    cfg = tmp_path / "haproxy.cfg"
    cfg.write_text(answer["haproxy_cfg"] + REST.format(name=name, first=first, second=second))
    checked = subprocess.run(
        [binary, "-c", "-dW", "-f", str(cfg)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    with subprocess.Popen([binary, "-db", "-f", str(cfg)], stderr=subprocess.DEVNULL) as process:
        try:
            info = until(lambda: info_of(name), "HAProxy's answer")
        finally:
            process.kill()
    assert int(info["Maxconn"]) == answer["maxconn"] == 3000
    assert int(info["Maxsock"]) == int(info["Ulimit-n"]) == answer["max_sockets"]
    assert int(info["Nbthread"]) == THREADS
