"""A worker's decisions, without traffic: nothing runs here but what is asked."""

import asyncio
from collections.abc import Callable, Iterator

import msgspec
import pytest

from wsload.driver.messages import Offer, Prepare
from wsload.driver.tunnel import State, Tunnel
from wsload.driver.worker import Worker
from wsload.plan.model import Assignment, Endpoint
from wsload.profile.model import Cohort, Reconnect, Traffic
from wsload.record.snapshot import Snapshot

FAR_NS = 10**12
NOBODYS = "203.0.113.1"
"""An address for documentation (RFC 5737), from which no host may connect."""


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


def worker(
    loop: asyncio.AbstractEventLoop,
    reconnect: Reconnect,
    *,
    open_seats: tuple[int, ...],
    sources: tuple[str, ...] = (),
    send: Callable[[msgspec.Struct], None] = lambda _: None,
) -> Worker:
    """Six seats of one quiet cohort, four of them within the first level."""
    cohort = Cohort(name="quiet", traffic=Traffic.QUIET, reconnect=reconnect)
    numbers = list(range(6))
    assignment = Assignment.pack(
        tunnel_ids=numbers,
        opens_ns=[0] * 6,
        cohort_of=[0] * 6,
        source_of=[0] * 6,
        target_of=[0] * 6,
        worker=0,
        seed=1,
        cohorts=(cohort,),
        sources=sources,
        ramp_ns=0,
        hold_ns=FAR_NS,
        drain_ns=0,
        interval_ns=FAR_NS,
        handshake_timeout_ns=FAR_NS,
        first_level=4,
    )
    made = Worker(Prepare(assignment, (Endpoint("127.0.0.1", 1, "h", "/"),), {}, ()), loop, send)
    for seat in open_seats:
        made._tunnels[seat] = Tunnel(made, made._cohorts[0], seat)
    return made


def test_a_client_that_cannot_connect_is_not_taken_for_the_one_before_it_in_its_seat(
    loop: asyncio.AbstractEventLoop,
) -> None:
    told: list[msgspec.Struct] = []
    made = worker(loop, Reconnect.WHEN_DUE, open_seats=(), sources=(NOBODYS,), send=told.append)
    made._seats.connected_from(0, "127.0.0.1", 40_000)
    made._seats.began_ns[0] = 1
    made._open(0, 5)
    made._snapshot(1, 10)
    assert isinstance(told[0], Snapshot)
    (failure,) = told[0].failed
    assert (failure.reason, failure.local_ip, failure.local_port, failure.waited_ns) == ("no_port", "", 0, 0)


def test_a_handshake_times_out_counted_from_its_tunnels_own_beginning(
    loop: asyncio.AbstractEventLoop,
) -> None:
    made = worker(loop, Reconnect.NEVER, open_seats=(0, 1, 2))
    tunnels = [tunnel for tunnel in made._tunnels if tunnel is not None]
    for began_ns, tunnel, state in zip(
        (10, 20, 30), tunnels, (State.OPEN, State.UPGRADING, State.CONNECTING), strict=True
    ):
        made._seats.began_ns[tunnel.index], tunnel.state = began_ns, state
        made._unopened.append(tunnel)
    made._time_out_handshakes(FAR_NS + 19)
    assert made._tunnels[:3] == tunnels
    made._time_out_handshakes(FAR_NS + 20)
    assert made._tunnels[:3] == [tunnels[0], None, tunnels[2]]
    made._time_out_handshakes(FAR_NS + 30)
    assert made._tunnels[:3] == [tunnels[0], None, None]
    assert not made._unopened


def asked_of(made: Worker, level: int) -> list[tuple[str, int]]:
    """What a level makes it do, and to which seats."""
    made.offer(Offer(level, 0, 1000))
    _, actions, seats = made._scheduler.agenda.advance(FAR_NS)
    return [(action.__name__.strip("_"), seat) for action, seat in zip(actions, seats, strict=True)]


def test_a_higher_level_opens_its_new_seats_and_leaves_alone_whom_a_timer_cut(
    loop: asyncio.AbstractEventLoop,
) -> None:
    made = worker(loop, Reconnect.WHEN_DUE, open_seats=(0, 2, 3))
    assert asked_of(made, 6) == [("fill", 4), ("fill", 5)]


def test_seats_whose_clients_do_not_come_back_are_filled_with_the_new_ones(
    loop: asyncio.AbstractEventLoop,
) -> None:
    made = worker(loop, Reconnect.NEVER, open_seats=(0, 2, 3))
    assert asked_of(made, 6) == [("fill", 1), ("fill", 4), ("fill", 5)]


def test_a_lower_level_closes_what_is_above_it(loop: asyncio.AbstractEventLoop) -> None:
    made = worker(loop, Reconnect.WHEN_DUE, open_seats=(0, 1, 2, 3))
    assert asked_of(made, 2) == [("close", 2), ("close", 3)]
    assert asked_of(made, 4) == []
