"""How busy a plan will keep HAProxy, from its rates."""

import math

import pytest

from tests.plan.machines import machine
from wsload.plan.busyness import haproxy_share, host_share, messages_per_s, openings_per_s
from wsload.plan.model import Plan
from wsload.plan.sharding import make_plan
from wsload.profile.load import parse_profile

COHORTS = """
[load]
tunnels = 1000
ramp = "2s"
[backend]
{backend}
[[cohort]]
name = "it"
{cohort}
"""


def plan(cohort: str = "", backend: str = "") -> Plan:
    return make_plan(parse_profile(COHORTS.format(cohort=cohort, backend=backend), "p.toml"), machine())


@pytest.mark.parametrize(
    ("cohort", "backend", "expected"),
    [
        ('traffic = "idle"', "", 0.0),
        ('traffic = "chatty"\nrate = "5/s"', "", 5000.0),
        ('traffic = "chatty"\nrate = "max"', "", math.inf),
        ('traffic = "pinged"\nevery = "4s"', "", 250.0),
        ('traffic = "quiet"\ngaps = "exp(2s)"', "", 500.0),
        ('traffic = "idle"', 'reply = "push"\npush_rate = "3/s"', 3000.0),
    ],
)
def test_messages_are_counted_over_all_tunnels(cohort: str, backend: str, expected: float) -> None:
    assert messages_per_s(plan(cohort, backend)) == pytest.approx(expected)


def test_openings_are_those_of_the_ramp_and_of_clients_that_come_back_or_are_replaced() -> None:
    assert openings_per_s(plan()) == 500.0
    back = (
        'traffic = "quiet"\ngaps = "exp(2s)"\nreconnect = "when-due"\nvanish = "3%/s"\nsession = "exp(10s)"'
    )
    assert openings_per_s(plan(back)) == pytest.approx(500 + 500 + 30 + 100)


def test_ten_thousand_echoes_a_second_take_about_a_fifth_of_a_core() -> None:
    # Measured: 0.16 of a core (field.md).
    assert 0.15 < haproxy_share([plan('traffic = "chatty"\nrate = "10/s"')]) < 0.3


def test_plans_add_up_and_the_host_carries_driver_and_backend_too() -> None:
    busy = plan('traffic = "chatty"\nrate = "10/s"')
    assert haproxy_share([busy, busy]) > 1.6 * haproxy_share([busy])
    assert host_share([busy]) == pytest.approx(3 * haproxy_share([busy]))
