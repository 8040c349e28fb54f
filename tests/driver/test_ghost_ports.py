"""Ports of vanished clients, with real sockets on loopback."""

import socket
import sys

import pytest

from wsload.driver.ghost_ports import GhostPorts
from wsload.units import NS_PER_S

IP = "127.0.77.1"
"""Nobody else's."""
HOLD_NS = 5 * NS_PER_S
GONE_NS = HOLD_NS + NS_PER_S


def is_free(port: int) -> bool:
    with socket.socket() as sock:
        try:
            sock.bind((IP, port))
        except OSError:
            return False
        return True


@pytest.fixture
def ports() -> list[int]:
    """Free ones."""
    sockets = [socket.socket() for _ in range(3)]
    for sock in sockets:
        sock.bind((IP, 0))
    found = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    return found


def holding(*vanished: tuple[int, int], most: int = 10, hold_ns: int = HOLD_NS) -> GhostPorts:
    """After clients at these ports vanished at these times, in ns."""
    held = GhostPorts(hold_ns, most)
    for port, at_ns in vanished:
        held.vanished(IP, port, at_ns)
    held.tend(NS_PER_S)
    return held


def test_a_port_is_held_until_its_ghost_is_gone(ports: list[int]) -> None:
    held = holding((ports[0], 0), (ports[1], NS_PER_S))
    held.tend(GONE_NS - 1)
    assert [is_free(port) for port in ports] == [False, False, True]
    held.tend(GONE_NS)
    assert [is_free(port) for port in ports] == [True, False, True]
    held.tend(GONE_NS + NS_PER_S)
    assert is_free(ports[1])


def connect_from(port: int) -> bool:
    """Whether the kernel gives a client this port, of which it may choose no other."""
    with socket.create_server((IP, 0)) as server, socket.socket() as client:
        client.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT, as the driver does
        try:
            client.setsockopt(socket.IPPROTO_IP, 51, (port << 16 | port).to_bytes(4, sys.byteorder))
        except OSError:
            pytest.skip("this kernel lacks IP_LOCAL_PORT_RANGE (Linux 6.3)")
        client.bind((IP, 0))
        return client.connect_ex(server.getsockname()) == 0


def test_the_kernel_gives_a_held_port_to_no_new_client(ports: list[int]) -> None:
    held = holding((ports[0], 0))
    assert [connect_from(port) for port in ports[:2]] == [False, True]
    assert len(held) == 1


def test_no_more_ports_are_held_than_descriptors_are_to_spare(ports: list[int]) -> None:
    held = holding(*((port, 0) for port in ports), most=2)
    assert len(held) == 2
    assert [is_free(port) for port in ports] == [True, False, False]


def test_nothing_is_held_where_no_timer_is_known_or_no_descriptor_is_left(ports: list[int]) -> None:
    for choices in ({"hold_ns": 0}, {"most": 0}, {"most": -5}):
        assert len(holding((ports[0], 0), **choices)) == 0
    assert is_free(ports[0])


def test_a_port_still_in_use_is_tried_again_and_then_left(ports: list[int]) -> None:
    held = GhostPorts(HOLD_NS, 10)
    with socket.socket() as closing, socket.socket() as other:
        closing.bind((IP, ports[0]))
        other.bind((IP, ports[1]))
        for port in ports[:2]:
            held.vanished(IP, port, 0)
        held.tend(1)
        assert len(held) == 0
        closing.close()
        held.tend(NS_PER_S // 10)
        assert len(held) == 1
        held.tend(NS_PER_S)
    held.tend(NS_PER_S)
    assert [is_free(port) for port in ports[:2]] == [False, True]
