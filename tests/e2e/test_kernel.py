"""A listener that drops connections is told from one that is slow to answer, by the kernel's own count."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.command import start
from wsload.record import layout

pytestmark = pytest.mark.e2e

TUNNELS = 40


@pytest.fixture
def deaf_url() -> Iterator[str]:
    """A listener with room for two that nobody accepts from."""
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listener:
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}/ws"


def test_connections_that_overflow_a_listener_are_named(tmp_path: Path, deaf_url: str) -> None:
    ended = start(
        tmp_path / "run",
        target__via="url",
        target__url=deaf_url,
        load__tunnels=str(TUNNELS),
        load__handshake_timeout="1s",
    ).end()
    ended.assert_tidy()
    kernel = ended.summary.kernel
    assert kernel is not None
    # Two fit in the queue; the first SYN of each other one is dropped.
    assert kernel.counters["ListenOverflows"] >= TUNNELS - 2
    assert kernel.counters["ListenDrops"] >= TUNNELS - 2
    assert "listen overflows=" in ended.out
    assert "of the whole host" in " ".join(ended.out.split())
    assert (ended.folder / layout.KERNEL).is_file()
