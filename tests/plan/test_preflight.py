"""What cannot work is refused before any traffic, with the command that helps."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.plan.machines import LAPTOP, machine
from wsload.errors import PreflightError
from wsload.plan.describe import describe_plan, open_loop_messages_per_s
from wsload.plan.model import Machine
from wsload.plan.preflight import Check, checks, memory_needed_bytes, read_machine, require
from wsload.plan.sharding import make_plan
from wsload.profile.load import parse_profile


def check_all(on: Machine, *overrides: str) -> list[Check]:
    return checks(make_plan(parse_profile("", "p.toml", overrides), on), on)


def failed(on: Machine, *overrides: str) -> list[Check]:
    return [check for check in check_all(on, *overrides) if not check.ok]


def test_a_modest_plan_passes_every_check() -> None:
    assert failed(LAPTOP, "load.tunnels=5000") == []
    require(check_all(LAPTOP, "load.tunnels=5000"))


def test_a_refusal_names_limit_need_stock_and_command() -> None:
    with pytest.raises(PreflightError) as caught:
        require(check_all(LAPTOP, "load.tunnels=15k"))
    assert str(caught.value) == (
        "the plan does not fit this machine: descriptors of each HAProxy process (2 x maxconn): "
        "30,260 needed, 20,000 there; type --set haproxy.processes=2, or ulimit -n 31000"
    )


@pytest.mark.parametrize(
    ("on", "overrides", "name", "remedy"),
    [
        (
            LAPTOP,
            ["load.tunnels=30k", "load.workers=1"],
            "descriptors of each driver",
            "--set load.workers=2, or",
        ),
        (
            LAPTOP,
            ["load.tunnels=30k"],
            "descriptors of each backend",
            "--set backend.processes=2, or ulimit -n",
        ),
        (
            LAPTOP,
            ["haproxy.maxconn=30k"],
            "descriptors of each HAProxy",
            "processes=4 --set haproxy.maxconn=7500",
        ),
        (machine(nofile_hard=80), [], "descriptors of each HAProxy", "type ulimit -n 2300"),
        (machine(file_max=3000), [], "descriptors of the host (4 for each", "sysctl -w fs.file-max=5000"),
        (machine(memory_available_bytes=10**8), [], "memory", "free memory"),
        (
            machine(memory_available_bytes=10**9),
            ["load.tunnels=9k", "load.workers=14"],
            "memory",
            "load.tunnels=",
        ),
        (
            LAPTOP,
            ["load.tunnels=60k", "target.via=url", "target.url=ws://10.0.0.1/"],
            "local ports for each source",
            'of this host in target.sources, or sysctl -w net.ipv4.ip_local_port_range="1024 65535"',
        ),
        (
            LAPTOP,
            [
                "load.tunnels=90k",
                "haproxy.processes=10",
                "backend.mode=external",
                "backend.servers=10.0.0.1:80",
            ],
            "HAProxy's ports toward each backend address",
            "name 4 addresses in backend.servers",
        ),
    ],
)
def test_each_limit_fails_with_its_own_remedy(
    on: Machine, overrides: list[str], name: str, remedy: str
) -> None:
    found = [check for check in failed(on, *overrides) if check.name.startswith(name)]
    assert len(found) == 1
    assert found[0].fatal
    assert remedy in found[0].text


@pytest.mark.parametrize(
    ("on", "overrides", "name", "remedy"),
    [
        (LAPTOP, ["haproxy.maxconn=400"], "HAProxy slots", "--set haproxy.maxconn=1000"),
        (machine(somaxconn=128), ["load.ramp=0s"], "backlog", "sysctl -w net.core.somaxconn=1000"),
        (machine(conntrack_max=1000), [], "connections in conntrack", "nf_conntrack_max=2300"),
        (
            machine(conntrack_max=3000, conntrack_used=1000),
            [],
            "connections in conntrack",
            "2,000 needed, 1,700 there; type sysctl -w net.netfilter.nf_conntrack_max=3400",
        ),
    ],
)
def test_what_may_still_work_is_a_note(on: Machine, overrides: list[str], name: str, remedy: str) -> None:
    found = failed(on, *overrides)
    assert [check.name.startswith(name) for check in found] == [True]
    assert not found[0].fatal
    assert remedy in found[0].text
    require(found)


@given(
    st.integers(1, 300_000),
    st.integers(1, 4),
    st.integers(700, 100_000),
    st.one_of(st.none(), st.integers(1, 300_000)),
)
def test_typing_the_remedy_helps(tunnels: int, processes: int, nofile: int, maxconn: int | None) -> None:
    on = machine(nofile_hard=nofile, memory_available_bytes=2**50)
    overrides = [f"load.tunnels={tunnels}", f"haproxy.processes={processes}"]
    overrides += [f"haproxy.maxconn={maxconn}"] if maxconn else []
    for check in failed(on, *overrides):
        typed = re.findall(r"--set (\S+=\d+)", check.remedy)
        if check.name.startswith("descriptors of each") and typed:
            assert check.name not in [again.name for again in failed(on, *overrides, *typed)]


@pytest.mark.parametrize(
    ("overrides", "absent"),
    [
        (["target.via=direct"], ["HAProxy"]),
        (["target.via=url", "target.url=ws://10.0.0.1/"], ["HAProxy", "backend process"]),
        (["backend.mode=external", "backend.servers=10.0.0.1:80"], ["backend process"]),
    ],
)
def test_what_is_not_on_this_host_is_not_checked(overrides: list[str], absent: list[str]) -> None:
    names = " ".join(check.name for check in check_all(LAPTOP, *overrides))
    assert not [word for word in absent if word in names]


def test_memory_is_told_by_who_needs_it() -> None:
    plan = make_plan(parse_profile("", "p.toml", ["load.tunnels=1000", "load.workers=1"]), LAPTOP)
    assert memory_needed_bytes(plan) == {
        "driver": 3_000_000 + 2 * 60_000_000,
        "haproxy": 6_700_000,
        "backend": 63_000_000,
        "kernel": 4 * 5_100_000,
    }


def test_this_machine_can_be_read() -> None:
    here = read_machine()
    assert here.cores >= 1
    assert here.nofile_hard > 0
    assert here.memory_available_bytes > 0
    assert 0 < here.port_range[0] < here.port_range[1] < 65_536


def test_a_plan_is_told_in_words() -> None:
    text = """
description = "three kinds"
[load]
tunnels = 3000
ramp = "2s"
hold = "10s"
drain = "2s"
[[cohort]]
name = "idle"
[[cohort]]
name = "chatty"
traffic = "chatty"
rate = "0.5/s"
arrivals = "poisson"
[[cohort]]
name = "pinged"
traffic = "pinged"
every = "5s"
"""
    plan = make_plan(parse_profile(text, "demo.toml"), LAPTOP)
    assert describe_plan(plan, LAPTOP, checks(plan, LAPTOP))[:9] == [
        "demo: three kinds",
        "path: 1 HAProxy process, maxconn 3,100 each, timeouts connect 5s, client 30s, server 30s, tunnel "
        "1h; then the embedded backend (1 process, 1 address)",
        "tunnels: 3,000",
        "  idle: 1,000 (33.33%), silent",
        "  chatty: 1,000 (33.33%), 64B messages, one each 2s on average (Poisson)",
        "  pinged: 1,000 (33.33%), a ping each 5s",
        "phases: open over 2s (1,500/s, evenly), hold 10s, drain up to 2s; 14s in all",
        "traffic: 700 messages and pings a second in all",
        "driver: 2 workers on 2 cores, 1 destination, sources chosen by the kernel",
    ]
    assert open_loop_messages_per_s(plan) == pytest.approx(700)


def test_checks_are_marked_in_the_words() -> None:
    on = machine(nofile_hard=5000, somaxconn=1)
    plan = make_plan(parse_profile("", "p.toml", ["load.tunnels=4000"]), on)
    marks = [line[0] for line in describe_plan(plan, on, checks(plan, on)) if line[0] in "✓✗!"]
    assert {*marks} == {"✓", "✗", "!"}


SEARCH = """
[haproxy]
nofile = 400
source_ports = "20000-20099"
[haproxy.timeouts]
tunnel = "5s"
[load]
ramp = "1s"
handshake_timeout = "2s"
[[cohort]]
name = "quiet"
traffic = "quiet"
gaps = "exp(2s)"
reconnect = "when-due"
vanish = "3%/s"
session = "lognormal(10m, 1)"
[[cohort]]
name = "idle"
vanish = "2%/min"
[capacity]
from = 100
to = 300
resolution = 50
[slo]
handshake_failed = ["rate<0.1%"]
"""


def test_a_search_says_what_it_tries_how_long_each_level_is_held_and_why() -> None:
    plan = make_plan(parse_profile(SEARCH, "demo.toml"), LAPTOP)
    lines = describe_plan(plan, LAPTOP, checks(plan, LAPTOP))
    assert "maxconn worked out from 400 descriptors each" in lines[1]
    assert lines[3:6] == [
        "  quiet: 150 (50%), 64B now and then, gaps exp(2s), who was cut comes back with its next message, "
        "3% of those there vanish each second and are replaced, each stays lognormal(10m, 1) and is replaced",
        "  idle: 150 (50%), silent, 2% of those there vanish each minute and are replaced",
        "search: 100 to 300 tunnels by bisection, at most 4 levels; each opens over 1s and is held 12s: "
        "5s until the idle timer has fired for all, and ghosts leave as fast as they come, 2s for who waits "
        "for a slot; then 5s are judged, and as much again where they are not steady; at most 1m38s in all",
    ]


def test_limits_that_the_profile_states_are_tried_and_not_refused() -> None:
    plan = make_plan(parse_profile(SEARCH, "demo.toml"), LAPTOP)
    missed = {check.name: (check.needed, check.available) for check in checks(plan, LAPTOP) if not check.ok}
    assert missed == {
        "HAProxy's ports toward each backend address": (300, 100),
        "HAProxy slots (maxconn x processes)": (300, 170),
    }
    require(checks(plan, LAPTOP))


def test_a_descriptor_limit_above_the_machines_is_refused_with_what_to_type() -> None:
    plan = make_plan(parse_profile(SEARCH, "demo.toml", ["haproxy.nofile=30k"]), LAPTOP)
    with pytest.raises(PreflightError, match=r"--set haproxy\.nofile=20000, or ulimit -n 30000"):
        require(checks(plan, LAPTOP))
