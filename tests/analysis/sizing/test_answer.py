"""The answer: which limit binds, how many nodes, and what the user should know beside it."""

from typing import Any

import pytest

from wsload.analysis.sizing.answer import Answer, endless_hold, size
from wsload.analysis.sizing.question import RELEASES, Fleet, Node, Question
from wsload.units import NS_PER_S

S = NS_PER_S
GIB = 1024**3


BARE = Node()


def answer(tunnels: int = 10_000, node: Node = BARE, reserve: float = 0.2, **choices: Any) -> Answer:
    """``nodes`` and ``spare`` are the question's, all other choices the fleet's."""
    whole = {name: choices.pop(name) for name in ("nodes", "spare") if name in choices}
    return size(Question(fleet=Fleet(tunnels=tunnels, **choices), node=node, reserve=reserve, **whole))


WIDE = Node(memory_bytes=64 * GIB, nofile=10**7, backends=100, threads=16, cores=16, somaxconn=10**6)


@pytest.mark.parametrize(
    ("node", "binding"),
    [
        (Node(nofile=26_000, backends=100), "descriptors of HAProxy"),
        (Node(memory_bytes=300_000_000, backends=100), "memory"),
        (Node(backends=1), "source ports toward the backends"),
        (Node(maxconn=12_600, backends=100), "slots (maxconn)"),
        (Node(conntrack=26_000, backends=100), "conntrack entries"),
        (Node(somaxconn=50, backends=100), "backlog when all come back"),
    ],
)
def test_the_limit_that_is_nearest_is_named(node: Node, binding: str) -> None:
    assert answer(node=node).binding == binding


def test_it_takes_as_many_nodes_as_the_tightest_limit_asks_for_and_the_spare_ones() -> None:
    found = answer(100_000, spare=2)  # 22,585 of 28,232 ports may be used
    assert (found.nodes_needed, found.nodes, found.tunnels) == (7, 7, 20_000)
    assert found.fits


def test_the_fewest_nodes_are_found() -> None:
    at_most = int(28_232 * 0.8)
    assert answer(3 * at_most).nodes_needed == 3
    assert answer(3 * at_most + 1).nodes_needed == 4


def test_nodes_that_are_given_are_judged_with_the_spare_ones_out() -> None:
    assert answer(40_000, nodes=2).fits
    with_spare = answer(40_000, nodes=2, spare=1)
    assert not with_spare.fits
    assert (with_spare.tunnels, with_spare.nodes_needed) == (40_000, 3)
    assert [row.name for row in with_spare.broken] == ["source ports toward the backends"]


def test_where_no_number_of_nodes_is_enough_the_reason_is_one_that_a_single_tunnel_breaks() -> None:
    found = answer(100_000, Node(memory_bytes=10_000_000))
    assert found.nodes_needed is None
    assert not found.fits
    assert found.impossible == ["memory"]


def test_more_nodes_are_never_needed_for_fewer_tunnels() -> None:
    needed = [answer(tunnels, vanish_per_s=0.001).nodes_needed for tunnels in range(5000, 60_000, 5000)]
    assert needed == sorted(needed, key=lambda nodes: nodes or 0)


def test_a_storm_that_haproxy_cannot_take_lasts_longer_than_the_clients_window() -> None:
    calm = answer(10_000, WIDE, reconnect_window_ns=60 * S)
    assert calm.recovery_s == pytest.approx(60)
    slow = answer(10_000, Node(accept_per_s=100.0), nodes=1, reconnect_window_ns=60 * S)
    assert slow.recovery_s == pytest.approx(100)


def test_a_slot_that_nothing_frees_is_found_before_it_is_counted() -> None:
    for field, flag in (("vanish_per_s", "--vanish"), ("half_close_per_s", "--half-close")):
        fleet = Fleet(tunnels=10, timeouts_ns={}, **{field: 0.1})  # type: ignore[arg-type]
        assert endless_hold(Question(fleet=fleet)) == flag
    assert endless_hold(Question(fleet=Fleet(tunnels=10, timeouts_ns={}))) == ""
    assert answer(10, timeouts_ns={}).ghost_hold_s is None


@pytest.mark.parametrize(
    ("ping_s", "words"),
    [(30, "come too late for the idle timer of 20s"), (12, "one that is lost is enough"), (9, "")],
)
def test_pings_that_the_timer_outruns_are_told(ping_s: int, words: str) -> None:
    notes = answer(ping_every_ns=ping_s * S, timeouts_ns={"tunnel": 20 * S}).notes
    assert any(words in note for note in notes) if words else notes == []


def test_nine_thousand_idle_tunnels_are_what_was_measured() -> None:
    """Resident memory of one process with wsload's own configuration, maxconn 9,100, at the hold."""
    for release, measured in (("2.6", 72_626_176), ("3.0", 77_762_560), ("3.2", 84_623_360)):
        question = Question(
            fleet=Fleet(tunnels=9000), costs=RELEASES[release], node=Node(maxconn=9100), reserve=0
        )
        rows = {row.name: row.needed for row in size(question).constraints}
        assert rows["memory: HAProxy"] == pytest.approx(measured, rel=0.02)
