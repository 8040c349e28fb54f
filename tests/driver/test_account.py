"""What a worker tells of its tunnels in a snapshot, from made ones."""

from wsload.driver.account import Account
from wsload.driver.messages import Prepare
from wsload.driver.seats import Seats
from wsload.driver.traffic import TRAFFIC, CohortTraffic
from wsload.driver.tunnel import Tunnel
from wsload.plan.model import Assignment, Endpoint
from wsload.plan.phases import PhaseTimes
from wsload.profile.model import Cohort, Traffic
from wsload.record.outcome import Phase, PlanAct, Wire

START_NS, HOLD_NS, DRAIN_NS = 1_000_000, 2_000_000, 9_000_000


class Made:
    """Two seats of an idle cohort, whose tunnels were due and begun as the run was opening."""

    def __init__(self) -> None:
        spec = Cohort(name="idle", traffic=Traffic.IDLE)
        assignment = Assignment.pack(
            tunnel_ids=[7, 8],
            opens_ns=[0, 0],
            cohort_of=[0, 0],
            source_of=[0, 0],
            target_of=[0, 0],
            worker=3,
            seed=1,
            cohorts=(spec,),
            sources=(),
            ramp_ns=HOLD_NS - START_NS,
            hold_ns=DRAIN_NS - HOLD_NS,
            drain_ns=0,
            interval_ns=1,
            handshake_timeout_ns=1,
        )
        phases = PhaseTimes(START_NS, HOLD_NS, DRAIN_NS)
        self.seats = Seats(Prepare(assignment, (Endpoint("127.0.0.1", 1, "h", "/"),), {}, ()))
        self.cohort: CohortTraffic = TRAFFIC[spec.traffic](spec, phases, b"mask")
        self.account = Account(3, self.seats, phases, [self.cohort])

    def tunnel(self, seat: int) -> Tunnel:
        self.seats.taken(seat, START_NS + 10)
        self.seats.began_ns[seat] = START_NS + 20
        self.seats.connected_from(seat, "127.0.0.2", 40_000 + seat)
        made = Tunnel(None, self.cohort, seat)  # type: ignore[arg-type]  # it tells nobody here
        made.mark_ns = made.opened_ns = made.rx_ns = made.tx_ns = START_NS + 100
        return made


def test_an_opening_counts_from_when_it_was_due_and_a_failure_says_how_long_it_waited() -> None:
    made = Made()
    made.account.opened(made.tunnel(0), START_NS + 300)
    made.account.failed(made.tunnel(1), "503", START_NS + 620)
    told = made.account.snapshot(1, HOLD_NS, 5)
    interval = told.cohorts["idle"][Phase.OPEN]
    assert interval.counters == {"opened": 1, "handshake_failed": 1, "handshake_failed:503": 1}
    (failure,) = told.failed
    assert (failure.tunnel, failure.local_port, failure.waited_ns, failure.t_ns) == (8, 40_001, 600, 620)
    assert (told.worker, told.end_ns, told.health.behind_ns) == (3, HOLD_NS - START_NS, 5)


def test_only_ends_that_no_plan_asked_for_are_unexpected() -> None:
    made = Made()
    for seat, plan in enumerate((PlanAct.NOTHING, PlanAct.CLOSE)):
        tunnel = made.tunnel(seat)
        tunnel.plan, tunnel.wire = plan, Wire.RST
        made.account.ended(tunnel, HOLD_NS + 100)
    told = made.account.snapshot(1, DRAIN_NS, 0)
    assert told.cohorts["idle"][Phase.HOLD].counters == {"disconnect": 2, "disconnect_unexpected": 1}
    assert [(end.tunnel, end.plan) for end in told.disconnects] == [(7, PlanAct.NOTHING), (8, PlanAct.CLOSE)]


def test_nothing_is_told_twice() -> None:
    made = Made()
    made.account.reopened(7)
    made.account.failed(made.tunnel(0), "refused", START_NS + 100)
    first, second = (made.account.snapshot(seq, HOLD_NS, 0) for seq in (1, 2))
    assert (len(first.failed), first.reopened, len(first.cohorts)) == (1, [7], 1)
    assert (second.failed, second.reopened, second.disconnects, second.cohorts) == ([], [], [], {})
