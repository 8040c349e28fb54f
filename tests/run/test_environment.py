"""What a run says of where it ran."""

from tests.plan.machines import LAPTOP
from wsload.plan.model import Plan
from wsload.plan.sharding import make_plan
from wsload.profile.load import parse_profile
from wsload.run.environment import describe_environment


def plan_of(*overrides: str) -> Plan:
    return make_plan(parse_profile("", "p.toml", overrides), LAPTOP)


def test_haproxys_timers_are_named_without_those_of_the_backend() -> None:
    timers_ms = {"tunnel": 5000, "client": 30_000, "backend-idle-close": 600, "backend-ends-after": 900}
    said = describe_environment("2.6.12", timers_ms, plan_of())
    assert said["haproxy_timers_ms"] == {"tunnel": 5000, "client": 30_000}
    assert said["haproxy"] == "2.6.12"
    assert said["cores"] >= 1
    assert (
        describe_environment("", {"backend-idle-close": 600}, plan_of("target.via=direct"))[
            "haproxy_timers_ms"
        ]
        == {}
    )
