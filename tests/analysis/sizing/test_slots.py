"""How long a client that is gone holds its slot, and what that makes of so many live tunnels."""

import math

import pytest

from wsload.analysis.sizing.question import Fleet, PingFrom
from wsload.analysis.sizing.slots import TCP_GIVES_UP_NS, ghost_hold, half_open_hold, slots_of
from wsload.units import NS_PER_S

S = NS_PER_S
TIMERS = {"client": 30 * S, "server": 20 * S, "tunnel": 600 * S}


def fleet(**choices: object) -> Fleet:
    return Fleet(**({"tunnels": 1000, "timeouts_ns": TIMERS} | choices))  # type: ignore[arg-type]


def server_pings(**choices: object) -> Fleet:
    return fleet(ping_every_ns=25 * S, ping_from=PingFrom.SERVER, **choices)


def test_a_ghost_holds_its_slot_for_the_tunnel_timer() -> None:
    assert ghost_hold(fleet(), "3.2").ns == 600 * S


def test_without_a_tunnel_timer_the_smaller_of_both_sides_counts() -> None:
    either = {"client": 30 * S, "server": 20 * S}
    assert ghost_hold(fleet(timeouts_ns=either), "3.2").ns == 20 * S
    assert math.isinf(ghost_hold(fleet(timeouts_ns={}), "3.2").ns)


def test_pings_of_clients_end_with_them_and_change_nothing() -> None:
    assert ghost_hold(fleet(ping_every_ns=25 * S), "3.2").ns == 600 * S


def test_pings_of_the_server_keep_the_slot_until_the_kernel_gives_up() -> None:
    hold = ghost_hold(server_pings(), "2.6")
    assert hold.ns == 25 * S + TCP_GIVES_UP_NS
    assert "the server's pings, every 25s" in hold.why


def test_tcp_ut_bounds_that_wait() -> None:
    assert ghost_hold(server_pings(tcp_user_timeout_ns=30 * S), "2.6").ns == 55 * S


@pytest.mark.parametrize(("release", "seconds"), [("2.6", 35), ("3.0", 35), ("3.2", 635)])
def test_a_pong_timeout_ends_it_sooner_but_3_2_then_waits_for_the_client_that_never_closes(
    release: str, seconds: int
) -> None:
    assert ghost_hold(server_pings(pong_timeout_ns=10 * S), release).ns == seconds * S


def test_pings_slower_than_the_timer_do_not_keep_it() -> None:
    assert ghost_hold(server_pings(timeouts_ns={"tunnel": 10 * S}), "3.2").ns == 10 * S


def test_server_fin_bounds_half_open_tunnels_on_2_6_only() -> None:
    timers = TIMERS | {"server-fin": 5 * S}
    assert half_open_hold(fleet(timeouts_ns=timers), "2.6").ns == 5 * S
    assert half_open_hold(fleet(timeouts_ns=timers), "3.0").ns == 600 * S
    assert half_open_hold(fleet(), "2.6").ns == 600 * S


def test_slots_are_live_tunnels_times_one_plus_vanish_rate_times_hold() -> None:
    slots = slots_of(1000, fleet(vanish_per_s=0.02 / 60, half_close_per_s=0.001 / 60), "3.2")
    assert (slots.tunnels, slots.ghosts, slots.half_open) == (1000, 200, 10)
    assert slots.total == 1210
    assert slots_of(1000, fleet(timeouts_ns={}), "3.2").total == 1000
