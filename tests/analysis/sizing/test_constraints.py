"""Each row of the table: what a node needs, by arithmetic one can follow."""

from typing import Any

import pytest

from wsload.analysis.sizing.constraints import Constraint, constraints, load_of, max_sockets
from wsload.analysis.sizing.question import RELEASES, Costs, Fleet, Node, Question
from wsload.units import NS_PER_S

S = NS_PER_S
PLAIN = Costs(
    release="3.2",
    base_bytes=1_000_000,
    tunnel_bytes=1000,
    thread_bytes=10_000,
    slot_bytes=1,
    busy_bytes=500,
    tls_bytes=2000,
    socket_bytes=100,
    handshake_s=1e-3,
    tls_handshake_s=3e-3,
    message_s=1e-5,
    tls_message_s=1e-5,
)
FLEET = {"tunnels", "vanish_per_s", "active_share", "messages_per_s", "ping_every_ns", "session_ns"} | {
    "tls",
    "reload_overlap",
    "reconnect_window_ns",
}


def row(name: str, tunnels: int = 1000, **choices: Any) -> Constraint:
    """The constraint of one node with so many tunnels; choices are the fleet's or the node's."""
    reserve = choices.pop("reserve", 0.0)
    fleet = Fleet(tunnels=tunnels, **{key: value for key, value in choices.items() if key in FLEET})
    node = Node(**{key: value for key, value in choices.items() if key not in FLEET})
    load = load_of(Question(fleet=fleet, costs=PLAIN, node=node, reserve=reserve), tunnels)
    (found,) = (each for each in constraints(load) if each.name == name)
    return found


@pytest.mark.parametrize(
    ("node", "maxsock"),
    [
        (Node(maxconn=1000), 2025),
        (Node(maxconn=2000), 4025),
        (Node(maxconn=1000, threads=4), 2034),
        (Node(maxconn=1000, threads=3, binds=3), 2033),
        (Node(maxconn=1000, checks=3), 2028),
        (Node(maxconn=9100), 18225),
    ],
)
def test_descriptors_are_haproxys_own_maxsock(node: Node, maxsock: int) -> None:
    """The numbers are those of ``show info`` on 2.6.12, 3.0.11 and 3.2.26."""
    load = load_of(Question(fleet=Fleet(tunnels=900), costs=RELEASES["2.6"], node=node), 900)
    assert max_sockets(load) == maxsock


def test_maxconn_is_proposed_with_the_reserve_free_and_not_judged_unless_it_is_given() -> None:
    proposed = row("slots (maxconn)", reserve=0.2)
    assert (proposed.needed, proposed.available, proposed.is_judged) == (1000, 1300, False)
    given = row("slots (maxconn)", maxconn=1100, reserve=0.2)
    assert given.is_judged
    assert not given.ok
    assert row("slots (maxconn)", maxconn=1250, reserve=0.2).ok


def test_haproxys_memory_has_a_base_and_a_part_for_each_thread_slot_and_tunnel() -> None:
    needed = 1_000_000 + 10_000 + 2000 + 1000 * 1000
    assert row("memory: HAProxy", maxconn=2000, threads=2).needed == needed
    assert row("memory: HAProxy", maxconn=2000, threads=2, tls=True).needed == needed + 2_000_000
    busy = row("memory: HAProxy", maxconn=2000, threads=2, active_share=0.1, messages_per_s=1.0)
    assert busy.needed == needed + 100 * 500


def test_an_old_process_after_a_reload_needs_its_share_again() -> None:
    plain = row("memory: HAProxy", maxconn=2000)
    assert (
        row("memory: HAProxy", maxconn=2000, reload_overlap=0.5).needed == plain.needed + 1_002_000 + 500_000
    )
    assert row("source ports toward the backends", reload_overlap=0.5).needed == 1500
    assert row("descriptors of the node", maxconn=2000, reload_overlap=0.5).needed == 3000 + 2 * 25
    assert row("conntrack entries", reload_overlap=0.5).needed == 3000


def test_the_kernel_needs_two_sockets_for_each_slot_and_memory_is_both_together() -> None:
    assert row("memory: the kernel's sockets").needed == 200_000
    both = row("memory: HAProxy", maxconn=2000).needed + 200_000
    assert row("memory", maxconn=2000).needed == both


def test_ghosts_need_all_that_live_tunnels_need() -> None:
    ghostly = row("source ports toward the backends", vanish_per_s=0.1 / 3600)  # timeout tunnel 1h
    assert ghostly.needed == 1100
    assert row("memory: the kernel's sockets", vanish_per_s=0.1 / 3600).needed == 220_000


def test_source_ports_are_those_of_each_source_and_backend_address() -> None:
    assert row("source ports toward the backends").available == 28_232
    assert row("source ports toward the backends", sources=2, backends=3, ports=1000).available == 6000


def test_cpu_counts_messages_pings_and_openings() -> None:
    name = "CPU for messages and openings"
    assert row(name).needed == 0
    assert row(name, active_share=0.5, messages_per_s=2.0).needed == pytest.approx(1000 * 1e-5)
    assert row(name, ping_every_ns=10 * S).needed == pytest.approx(200 * 1e-5)
    assert row(name, session_ns=100 * S).needed == pytest.approx(10 * 1e-3)
    assert row(name, vanish_per_s=0.01).needed == pytest.approx(10 * 1e-3)
    assert row(name, session_ns=100 * S, tls=True).needed == pytest.approx(10 * 4e-3)


def test_threads_beyond_the_cores_add_nothing() -> None:
    assert row("CPU for messages and openings", threads=4, cores=2).available == 2
    assert row("CPU for messages and openings", threads=2, cores=4).available == 2


def test_a_storm_is_all_clients_within_their_window_against_what_cpu_accepts() -> None:
    storm = row("openings when all come back", reconnect_window_ns=2 * S)
    assert storm.needed == 500
    assert storm.available == pytest.approx(1000)
    assert row("openings when all come back", reconnect_window_ns=2 * S, accept_per_s=400.0).available == 400


def test_the_backlog_takes_a_moments_openings_or_all_that_cannot_be_taken() -> None:
    name = "backlog when all come back"
    assert row(name, reconnect_window_ns=2 * S).needed == 50
    assert row(name, reconnect_window_ns=2 * S, accept_per_s=100.0).needed == 800


def test_what_has_no_limit_is_not_judged() -> None:
    unknown = row("conntrack entries")
    assert (unknown.available, unknown.utilisation, unknown.ok, unknown.strain) == (None, None, True, 0.0)
    assert not row("conntrack entries", conntrack=1000).ok


def test_the_reserve_must_stay_free() -> None:
    name = "conntrack entries"
    assert row(name, conntrack=2500, reserve=0.2).ok
    assert not row(name, conntrack=2499, reserve=0.2).ok
