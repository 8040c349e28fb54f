"""When clients of a cohort with turnover go, told on made tunnels."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from tests.driver.test_tunnel import Listener, WrittenDown, as_a_server_reads, cohort, opened
from wsload.driver.tunnel import State, Tunnel
from wsload.driver.turnover import Turnover
from wsload.profile.distributions import distribution
from wsload.profile.model import Distribution
from wsload.record.outcome import PlanAct, Wire
from wsload.units import NS_PER_S

SEATS = 4_000
FIXED = distribution("fixed(3s)")


class NoSocket:
    """A socket that takes options, or lacks the right to."""

    def __init__(self, permitted: bool) -> None:
        self._permitted = permitted

    def setsockopt(self, *_: int) -> None:
        if not self._permitted:
            raise PermissionError


class Transport(WrittenDown):
    def __init__(self, permitted: bool) -> None:
        super().__init__()
        self._permitted, self.reads = permitted, True

    def get_extra_info(self, _: str) -> NoSocket:
        return NoSocket(self._permitted)

    def pause_reading(self) -> None:
        self.reads = False


@dataclass
class Made:
    """An open tunnel on a transport that writes down."""

    vanish_per_s: float = 0.0
    session: Distribution | None = None
    permitted: bool = True
    tunnel: Tunnel = field(init=False)
    listener: Listener = field(init=False)
    transport: Transport = field(init=False)

    def __post_init__(self) -> None:
        self.tunnel, self.listener, _ = opened(cohort(vanish_per_s=self.vanish_per_s, session=self.session))
        self.transport = Transport(self.permitted)
        self.tunnel.transport = self.transport  # type: ignore[assignment]


def due_s(turnover: Turnover) -> list[float]:
    """All moments at which somebody goes, in order."""
    at_ns, _ = turnover.timeline.window(2**61)
    return [ns / NS_PER_S for ns in at_ns.tolist()]


def test_a_client_leaves_politely_when_its_session_is_over() -> None:
    made, turnover = Made(session=FIXED), Turnover(1, 1)
    turnover.opened(made.tunnel, 0, 10 * NS_PER_S)
    assert due_s(turnover) == [13]
    assert turnover.go(made.tunnel, 13 * NS_PER_S, 99)
    assert (made.tunnel.plan, made.tunnel.state) == (PlanAct.CLOSE, State.CLOSING)
    assert as_a_server_reads(made.transport.written) == [(8, b"\x03\xe8")]


def test_a_client_vanishes_without_a_word() -> None:
    made, turnover = Made(vanish_per_s=0.5), Turnover(1, 1)
    turnover.opened(made.tunnel, 0, 0)
    (at_s,) = due_s(turnover)
    assert turnover.go(made.tunnel, round(at_s * NS_PER_S) + 1, 99)
    assert (made.tunnel.plan, made.tunnel.wire) == (PlanAct.VANISH, Wire.VANISHED)
    assert (made.transport.written, made.transport.aborted) == (b"", True)


def test_a_client_that_may_not_vanish_says_so_and_only_stops_reading() -> None:
    made, turnover = Made(vanish_per_s=0.5, permitted=False), Turnover(1, 1)
    turnover.opened(made.tunnel, 0, 0)
    assert not turnover.go(made.tunnel, 2**61, 99)
    assert (made.transport.aborted, made.transport.reads) == (False, False)


def test_the_moment_of_a_former_client_is_not_the_next_ones() -> None:
    first, second, turnover = Made(session=FIXED), Made(session=FIXED), Turnover(1, 1)
    turnover.opened(first.tunnel, 0, 0)
    turnover.opened(second.tunnel, 0, 2 * NS_PER_S)
    assert due_s(turnover) == [3, 5]
    assert turnover.go(second.tunnel, 3 * NS_PER_S, 99)
    assert second.tunnel.state is State.OPEN
    assert turnover.go(second.tunnel, 5 * NS_PER_S, 99)
    assert second.tunnel.plan is PlanAct.CLOSE


def test_a_client_that_has_begun_to_close_is_let_be() -> None:
    made, turnover = Made(vanish_per_s=0.5), Turnover(1, 1)
    turnover.opened(made.tunnel, 0, 0)
    made.tunnel.close_by_plan(5, 1000)
    assert turnover.go(made.tunnel, 2**61, 99)
    assert made.tunnel.plan is PlanAct.CLOSE


def stays_s(seed: int, vanish_per_s: float, session: Distribution | None) -> list[float]:
    """How long each seat's first client stays."""
    made, turnover = Made(vanish_per_s, session), Turnover(SEATS, seed)
    for seat in range(SEATS):
        made.tunnel.index = seat
        turnover.opened(made.tunnel, seat, 0)
    return due_s(turnover)


@pytest.mark.parametrize(
    ("vanish_per_s", "session", "mean_s"),
    [
        (0.2, None, 5.0),
        (0.0, distribution("exp(5s)"), 5.0),
        (0.2, distribution("exp(5s)"), 2.5),  # whichever comes first: rates add
    ],
)
def test_clients_stay_as_long_as_rate_and_session_say(
    vanish_per_s: float, session: Distribution | None, mean_s: float
) -> None:
    stays = np.array(stays_s(1, vanish_per_s, session))
    assert len(stays) == SEATS
    assert stays.mean() == pytest.approx(mean_s, rel=4 / SEATS**0.5)
    assert (stays > mean_s).mean() == pytest.approx(np.exp(-1), abs=4 * (0.37 * 0.63 / SEATS) ** 0.5)


def test_what_a_seat_draws_depends_on_seed_seat_and_client_alone() -> None:
    assert stays_s(1, 0.2, None) == stays_s(1, 0.2, None) != stays_s(2, 0.2, None)
    made, turnover = Made(vanish_per_s=0.2), Turnover(1, 1)
    for _ in range(2):
        turnover.opened(made.tunnel, 0, 0)
    first_s, second_s = due_s(turnover)
    assert first_s != second_s
