"""Reconnect storms: what comes of tunnels that all end at once."""

import numpy as np
import pytest

from wsload.analysis.backoff import Backoff, Server, StormCourse, storm

FAST = Server(accept_per_s=1e9, backlog=10**9)


def delays(attempts: list[int], backoff: Backoff, uniform: float) -> list[float]:
    return list(backoff.delays_s(np.array(attempts), np.full(len(attempts), uniform)))


def test_delays_grow_to_their_cap_and_jitter_takes_from_them() -> None:
    backoff = Backoff(first_s=1, factor=2, most_s=10, jitter=0.5)
    assert delays([0, 1, 2, 3, 4, 5000], backoff, 0.0) == [1, 2, 4, 8, 10, 10]
    assert delays([0, 3], backoff, 1.0) == [0.5, 4]
    assert delays([0, 7], Backoff(first_s=3), 0.9) == [3, 3]


@pytest.mark.parametrize(("killed", "jitter_s"), [(20_000, 10), (50_000, 100)])
def test_uniform_jitter_spreads_the_storm_over_itself(killed: int, jitter_s: float) -> None:
    # haproxy-facts: the peak is about N / J.
    course = storm(killed, Backoff(first_s=jitter_s, jitter=1.0), FAST, seed=1)
    mean = killed / jitter_s
    assert mean <= course.peak_arrivals_per_s <= mean + 5 * mean**0.5
    assert course.recovered_s == pytest.approx(jitter_s, rel=0.01)
    assert (course.attempts, course.gave_up) == (killed, 0)


def test_recovery_takes_as_long_as_the_accept_rate_needs() -> None:
    server = Server(accept_per_s=2000, backlog=10**9, handshake_timeout_s=1000)
    course = storm(20_000, Backoff(first_s=1, jitter=1.0), server, seed=1)
    assert course.recovered_s == pytest.approx(10, rel=0.02)
    assert course.gave_up == 0


def without_end(backlog: int) -> StormCourse:
    server = Server(accept_per_s=200, backlog=backlog, handshake_timeout_s=2)
    return storm(2000, Backoff(first_s=1.0), server, seed=1)


def test_a_backlog_longer_than_the_clients_patience_never_recovers() -> None:
    # 2,000 wait for 200 a second: those at the end have given up before their turn, and stand in the way.
    stuck = without_end(10**6)
    assert stuck.recovered_s is None
    assert 400 <= stuck.recovered < 600
    short = without_end(200 * 2 - 50)
    assert short.recovered_s is not None
    assert short.recovered_s >= 2000 / 200


def test_a_growing_backoff_asks_less_often_than_a_fixed_one() -> None:
    server = Server(accept_per_s=200, backlog=300, handshake_timeout_s=2)
    fixed, growing = (
        storm(3000, Backoff(first_s=1, factor=factor, most_s=30, jitter=1.0), server, seed=1)
        for factor in (1, 2)
    )
    assert growing.attempts < 0.9 * fixed.attempts
    assert growing.recovered == fixed.recovered == 3000
    assert fixed.attempts == 3000 + fixed.gave_up


def test_the_same_seed_gives_the_same_storm() -> None:
    backoff = Backoff(first_s=5, jitter=1.0)
    server = Server(accept_per_s=500, backlog=1000)
    assert storm(3000, backoff, server, 4) == storm(3000, backoff, server, 4)
    assert storm(3000, backoff, server, 4) != storm(3000, backoff, server, 5)
