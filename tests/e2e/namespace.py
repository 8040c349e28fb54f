"""A network namespace of a test's own, and what can be done to the one that a run is in. All as root."""

import os
import re
import shlex
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.e2e.command import Command

CONNTRACK_MAX = Path("/proc/sys/net/netfilter/nf_conntrack_max")
MOST_ENTRIES = 300_000
"""As many a test fills in: some 100 MB of the kernel's memory, for a second or two."""

_ATTR = struct.Struct("=HH")
_NESTED = 0x8000
_REQUEST, _ACK, _CREATE = 1, 4, 0x400
_CTNETLINK, _NFTABLES = 1 << 8, 10 << 8
_NEW_TABLE, _NEW_CHAIN, _NEW_RULE = (_NFTABLES | number for number in (0, 3, 6))
_BATCH_BEGIN, _BATCH_END = 16, 17
_INET = 2
_SEEN_REPLY, _ASSURED, _CONFIRMED = 2, 4, 8


def require_root(*tools: str) -> None:
    """Skips the test where it cannot have a namespace."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a namespace")
    if missing := [tool for tool in tools if shutil.which(tool) is None]:
        pytest.skip(f"needs {', '.join(missing)}")


def in_namespace(arguments: Sequence[str], folder: Path, first: str = "true", kind: str = "--net") -> Command:
    """``wsload ARGUMENTS`` in a namespace of its own, after the shell line ``first`` has been run in it."""
    wsload = shlex.join([sys.executable, "-m", "wsload", *arguments])
    line = f"ip link set lo up; {first} && exec {wsload}"
    return Command([], folder, shell=f"exec unshare {kind} sh -c {shlex.quote(line)}")


def within(command: Command, line: str) -> None:
    """Runs a shell line in the network namespace of a running command."""
    subprocess.run(["nsenter", f"--target={command.process.pid}", "--net", "sh", "-c", line], check=True)


def fill_conntrack(room: int) -> None:
    """Makes conntrack look at this namespace's connections, with no more than ``room`` free entries."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as link:  # NETLINK_NETFILTER
        link.bind((0, 0))
        _track_everything(link)
        entries = _entries(int(CONNTRACK_MAX.read_text()) - room)
        for chunk in np.array_split(entries, max(len(entries) // 400, 1)):
            link.send(chunk.tobytes())


def _attribute(kind: int, value: bytes) -> bytes:
    """One netlink attribute, padded to four bytes."""
    return _ATTR.pack(_ATTR.size + len(value), kind) + value + b"\0" * (-len(value) % 4)


def _nested(kind: int, *attributes: bytes) -> bytes:
    return _attribute(kind | _NESTED, b"".join(attributes))


def _message(kind: int, flags: int, body: bytes, resource: int = 0) -> bytes:
    content = struct.pack("!BBH", _INET, 0, resource) + body
    return struct.pack("=IHHII", 16 + len(content), kind, _REQUEST | flags, 0, 0) + content


def _track_everything(link: socket.socket) -> None:
    """A rule that reads ``ct state`` of all that is sent: the first such rule turns conntrack on."""
    table, chain = _attribute(1, b"test\0"), b"out\0"
    hook = _nested(4, _attribute(1, struct.pack("!I", 3)), _attribute(2, struct.pack("!I", 0)))
    state = _nested(2, _attribute(1, struct.pack("!I", 1)), _attribute(2, struct.pack("!I", 0)))
    expression = _nested(1, _attribute(1, b"ct\0"), state)
    link.send(
        _message(_BATCH_BEGIN, 0, b"", 10)
        + _message(_NEW_TABLE, _CREATE, table)
        + _message(_NEW_CHAIN, _CREATE, table + _attribute(3, chain) + hook + _attribute(7, b"filter\0"))
        + _message(_NEW_RULE, _CREATE | _ACK, table + _attribute(2, chain) + _nested(4, expression))
        + _message(_BATCH_END, 0, b"", 10)
    )
    (error,) = struct.unpack_from("=i", link.recv(4096), 16)
    if error:
        raise OSError(-error, os.strerror(-error))


def _tuple(kind: int, source: int, port: int, to: int, to_port: int) -> bytes:
    addresses = _nested(1, _attribute(1, struct.pack("!I", source)), _attribute(2, struct.pack("!I", to)))
    ports = [_attribute(number, struct.pack("!H", each)) for number, each in ((2, port), (3, to_port))]
    return _nested(kind, addresses, _nested(2, _attribute(1, bytes([socket.IPPROTO_UDP])), *ports))


def _entries(count: int) -> NDArray[np.uint8]:
    """A row of bytes each: UDP of ever another client, alive for a minute, and not to be thrown out."""
    client, server = 0x0A090000, 0x0A000001
    status = _SEEN_REPLY | _ASSURED | _CONFIRMED
    template = _message(
        _CTNETLINK,
        _CREATE,
        _tuple(1, client, 1000, server, 9)
        + _tuple(2, server, 9, client, 1000)
        + _attribute(7, struct.pack("!I", 60))
        + _attribute(3, struct.pack("!I", status)),
    )
    rows = np.tile(np.frombuffer(template, np.uint8), (count, 1))
    clients = (client + np.arange(count)).astype(">u4").view(np.uint8).reshape(count, 4)
    for found in re.finditer(re.escape(struct.pack("!I", client)), template):
        rows[:, found.start() : found.end()] = clients
    return rows
