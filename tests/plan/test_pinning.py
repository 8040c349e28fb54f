"""Which part of a run gets which cores."""

from collections.abc import Sequence

import pytest

from tests.plan.machines import LAPTOP, SERVER, machine
from wsload.errors import PreflightError
from wsload.plan.describe import describe_plan
from wsload.plan.model import Plan
from wsload.plan.pinning import make_placement
from wsload.plan.preflight import checks, require
from wsload.plan.sharding import make_plan
from wsload.profile.load import parse_profile

PIN = "load.pin=true"
EXTERNAL = ("backend.mode=external", 'backend.servers=["10.0.0.1:80"]')
URL = ("target.via=url", "target.url=ws://10.0.0.1/")

Pinned = dict[str, tuple[int, ...]]


def pinned(cores: Sequence[int], *overrides: str, workers: int = 1) -> Pinned:
    return make_placement(parse_profile("", "p.toml", overrides), workers, cores).pinned()


def lines_of(plan: Plan, cores: int) -> list[str]:
    host = machine(cores=cores, core_ids=tuple(range(cores)))
    return describe_plan(plan, host, checks(plan, host))


def test_nothing_is_pinned_that_nobody_asked_for() -> None:
    assert pinned(range(8)) == {}


@pytest.mark.parametrize(
    ("cores", "expected"),
    [
        (1, {"driver": (0,), "haproxy": (0,), "backend": (0,)}),
        (2, {"driver": (0,), "haproxy": (1,), "backend": (0,)}),
        (3, {"driver": (0,), "haproxy": (2,), "backend": (1,)}),
        (16, {"driver": (0,), "haproxy": (15,), "backend": (1,)}),
    ],
)
def test_haproxy_is_the_last_to_share_its_core(cores: int, expected: Pinned) -> None:
    assert pinned(range(cores), PIN) == expected


def test_each_process_and_thread_has_a_core_where_there_are_so_many() -> None:
    many = (PIN, "haproxy.threads=4", "backend.processes=2")
    assert pinned(range(16), *many, workers=3) == {
        "driver": (0, 1, 2),
        "backend": (3, 4),
        "haproxy": (12, 13, 14, 15),
    }


def test_too_few_cores_are_dealt_out_by_need() -> None:
    assert pinned(range(6), PIN, "haproxy.threads=8", workers=2) == {
        "driver": (0,),
        "backend": (1,),
        "haproxy": (2, 3, 4, 5),
    }


def test_the_numbers_are_those_of_the_cores_that_we_may_use() -> None:
    assert pinned((3, 5, 9), PIN) == {"driver": (3,), "haproxy": (9,), "backend": (5,)}


def test_stated_cpus_are_haproxys_and_the_others_keep_off_them() -> None:
    assert pinned(range(4), PIN, "haproxy.cpus=0") == {"driver": (1,), "backend": (3,), "haproxy": (0,)}
    assert pinned(range(2), PIN, "haproxy.cpus=1") == {"driver": (0,), "backend": (0,), "haproxy": (1,)}


def test_stated_cpus_alone_pin_only_haproxy() -> None:
    assert pinned(range(4), "haproxy.cpus=1-2") == {"haproxy": (1, 2)}


def test_a_haproxy_that_was_given_every_core_shares_them() -> None:
    assert pinned(range(2), PIN, "haproxy.cpus=0-1") == {"driver": (0,), "backend": (1,), "haproxy": (0, 1)}


def test_parts_that_are_elsewhere_take_no_core_here() -> None:
    assert pinned(range(4), PIN, *EXTERNAL) == {"driver": (0,), "haproxy": (3,)}
    assert pinned(range(4), PIN, "target.via=direct") == {"driver": (0,), "backend": (3,)}
    assert pinned(range(4), PIN, "haproxy.cpus=9", *URL, workers=4) == {"driver": (0, 1, 2, 3)}


def test_the_parent_keeps_off_haproxys_cores_where_it_can() -> None:
    profile = parse_profile("", "p.toml", (PIN,))
    assert make_placement(profile, 1, range(4)).parent == (0, 1, 2)
    assert make_placement(profile, 1, range(1)).parent == (0,)
    assert make_placement(parse_profile("", "p.toml"), 1, range(4)).parent == ()


def test_a_core_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(PreflightError) as caught:
        make_plan(parse_profile("", "p.toml", ("haproxy.cpus=1,7-8",)), LAPTOP)
    assert str(caught.value) == (
        'haproxy.cpus: cores 7-8 cannot be used here; this machine has cores 0-1; write cpus = "1"'
    )


@pytest.mark.parametrize(("cores", "workers"), [(2, 1), (3, 1), (4, 2), (16, 6)])
def test_workers_auto_are_as_many_as_the_driver_has_cores(cores: int, workers: int) -> None:
    profile = parse_profile("", "p.toml", (PIN, "load.tunnels=10k"))
    host = machine(cores=cores, core_ids=tuple(range(cores)))
    assert make_plan(profile, host).workers == workers


def test_workers_that_descriptors_ask_for_are_kept_on_few_cores() -> None:
    profile = parse_profile("", "p.toml", (PIN, "load.tunnels=50k"))
    assert make_plan(profile, LAPTOP).workers == 3


def test_check_says_in_one_line_who_shares_where_cores_are_too_few() -> None:
    plan = make_plan(parse_profile("", "p.toml", (PIN,)), LAPTOP)
    words = "HAProxy alone on core 1, driver and backend share core 0"
    lines = lines_of(plan, 2)
    assert f"cores: {words}" in lines
    assert [line for line in lines if line.startswith("driver: 1 worker on 1 core, ")]
    named = "cores of their own for driver, HAProxy and backend (load.pin)"
    assert f"! {named}: 3 needed, 2 there; {words}" in lines
    require(checks(plan, LAPTOP))  # a note, no refusal


def test_check_is_content_where_there_are_enough() -> None:
    plan = make_plan(parse_profile("", "p.toml", (PIN, "haproxy.cpus=14-15")), SERVER)
    lines = lines_of(plan, 16)
    assert "cores: HAProxy alone on cores 14-15, driver alone on core 0, backend alone on core 13" in lines
    assert "✓ cores of their own for driver, HAProxy and backend (load.pin): 4 needed, 16 there" in lines


def test_check_says_nothing_of_cores_where_none_are_pinned() -> None:
    plan = make_plan(parse_profile("", "p.toml"), LAPTOP)
    assert not [line for line in lines_of(plan, 2) if line.startswith("cores:") or "load.pin" in line]
