"""Plans and their shares: nothing lost, everything balanced."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.plan.machines import LAPTOP, SERVER, machine
from wsload.plan.arrivals import opening_times_ns
from wsload.plan.model import Assignment, Plan
from wsload.plan.sharding import assignments, expand_sources, make_plan, split_by_share
from wsload.profile.load import parse_profile
from wsload.profile.model import Profile


def profile(*overrides: str, shares: tuple[float, ...] = (1.0,)) -> Profile:
    cohorts = "".join(f"[[cohort]]\nname = 'c{i}'\nshare = {share}\n" for i, share in enumerate(shares))
    return parse_profile(cohorts, "p.toml", overrides)


def whole(parts: list[Assignment], column: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """A column of all workers, in opening order of the whole run."""
    ids = np.concatenate([part.tunnel_ids for part in parts])
    values = np.concatenate([getattr(part, column) for part in parts]).astype(np.int64)
    return values[np.argsort(ids)]


@given(st.integers(0, 10**6), st.lists(st.floats(0, 1000), min_size=1, max_size=9).filter(any))
def test_shares_become_whole_tunnels_each_off_by_less_than_one(tunnels: int, shares: list[float]) -> None:
    counts = split_by_share(tunnels, shares)
    assert sum(counts) == tunnels
    for count, share in zip(counts, shares, strict=True):
        assert abs(count - tunnels * share / sum(shares)) < 1 + 1e-6


@settings(deadline=None)
@given(
    tunnels=st.integers(1, 3000),
    workers=st.integers(1, 7),
    processes=st.integers(1, 7),
    sources=st.integers(1, 9),
    shares=st.lists(st.integers(0, 5), min_size=1, max_size=5).filter(any),
)
def test_every_tunnel_is_assigned_once_and_all_is_balanced(
    tunnels: int, workers: int, processes: int, sources: int, shares: list[int]
) -> None:
    plan = make_plan(
        profile(
            f"load.tunnels={tunnels}",
            f"load.workers={workers}",
            f"haproxy.processes={processes}",
            f"target.sources=127.0.0.2-127.0.0.{sources + 1}",
            shares=tuple(shares),
        ),
        LAPTOP,
    )
    parts = assignments(plan)
    assert len(parts) == plan.workers == min(workers, tunnels)
    assert sorted(np.concatenate([part.tunnel_ids for part in parts])) == list(range(tunnels))
    sizes = [len(part.tunnel_ids) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    assert np.bincount(whole(parts, "cohort_of"), minlength=len(shares)).tolist() == list(plan.cohort_tunnels)
    per_target = np.bincount(whole(parts, "target_of"), minlength=plan.targets)
    assert np.ptp(per_target) <= 1
    pairs = whole(parts, "target_of") * len(plan.sources) + whole(parts, "source_of")
    assert np.ptp(np.bincount(pairs, minlength=plan.targets * len(plan.sources))) <= 1
    for part in parts:
        lengths = {len(getattr(part, name)) for name in ("opens_ns", "cohort_of", "source_of", "target_of")}
        assert lengths == {len(part.tunnel_ids)}
        assert (np.diff(part.opens_ns) >= 0).all()


@pytest.mark.parametrize("workers", [2, 3, 4])
def test_each_cohort_is_spread_over_workers_and_targets_even_where_the_interleaving_is_in_step(
    workers: int,
) -> None:
    text = (f"load.workers={workers}", "load.tunnels=12000", "haproxy.processes=4")
    parts = assignments(make_plan(profile(*text, shares=(1, 1)), LAPTOP))
    for part in parts:
        assert np.ptp(np.bincount(part.cohort_of)) <= 1
        assert np.ptp(np.bincount(part.target_of, minlength=4)) <= 4
        assert np.ptp(np.bincount(part.cohort_of.astype(int) * 4 + part.target_of)) <= 4


@given(st.lists(st.integers(1, 9), min_size=2, max_size=5))
@settings(deadline=None)
def test_cohorts_open_interleaved_over_the_whole_ramp(shares: list[int]) -> None:
    plan = make_plan(profile("load.tunnels=2000", shares=tuple(shares)), LAPTOP)
    cohort = whole(assignments(plan), "cohort_of")
    for number, count in enumerate(plan.cohort_tunnels):
        opened_so_far = np.cumsum(cohort == number)
        expected = (np.arange(2000) + 1) * count / 2000
        assert np.abs(opened_so_far - expected).max() <= len(shares)


def test_tunnels_open_when_the_arrivals_say() -> None:
    plan = make_plan(profile("load.arrivals=poisson", "load.tunnels=500", "load.seed=9"), LAPTOP)
    opens = opening_times_ns(500, plan.profile.load.ramp_ns, plan.profile.load.arrivals, 9)
    assert whole(assignments(plan), "opens_ns").tolist() == opens.tolist()


def test_workers_have_seeds_of_their_own_and_equal_plans_equal_shares() -> None:
    plan = make_plan(profile("load.tunnels=5000"), SERVER)
    parts = assignments(plan)
    assert len({part.seed for part in parts}) == len(parts) == 3
    assert parts == assignments(plan)


@pytest.mark.parametrize(
    ("tunnels", "cores", "nofile", "workers"),
    [
        (1, 8, 20_000, 1),
        (1999, 8, 20_000, 1),
        (2000, 8, 20_000, 2),
        (2000, 1, 20_000, 1),
        (5000, 2, 20_000, 2),
        (9000, 8, 20_000, 5),
        (100_000, 2, 20_000, 6),
        (100_000, 16, 1_000_000, 16),
        (3, 2, 101, 3),
    ],
)
def test_workers_follow_descriptors_cores_and_tunnels(
    tunnels: int, cores: int, nofile: int, workers: int
) -> None:
    assert (
        make_plan(profile(f"load.tunnels={tunnels}"), machine(cores=cores, nofile_hard=nofile)).workers
        == workers
    )


@pytest.mark.parametrize(
    ("overrides", "sources"),
    [
        (["load.tunnels=25k"], 0),
        (["load.tunnels=25001"], 1),
        (["load.tunnels=28001"], 2),
        (["load.tunnels=100k", "haproxy.processes=4"], 0),
        (["load.tunnels=500k"], 18),
        (["load.tunnels=60k", "target.via=url", "target.url=ws://127.0.0.1:80/"], 3),
        (["load.tunnels=60k", "target.via=url", "target.url=ws://10.0.0.9/"], 0),
        (["load.tunnels=40k", "target.via=url", 'target.url=["ws://127.0.0.1/a", "ws://127.0.0.1/b"]'], 2),
        (["load.tunnels=40k", "target.via=url", 'target.url=["ws://127.0.0.1:1/", "ws://127.0.0.1:2/"]'], 0),
        (["load.tunnels=50", "target.sources=10.0.0.0/28"], 14),
        (["load.tunnels=5", "target.sources=10.0.0.0/8"], 5),
    ],
)
def test_sources_are_made_up_only_where_ports_run_out_on_loopback(overrides: list[str], sources: int) -> None:
    assert len(make_plan(profile(*overrides), SERVER).sources) == sources


def test_addresses_ranges_and_networks_are_expanded_once_each_and_only_as_far_as_needed() -> None:
    written = ["10.0.0.2", "10.0.0.1-10.0.0.3", "10.1.0.0/30", "10.2.0.7/32", "0.0.0.0/0"]
    expanded = expand_sources(written, 7)
    assert expanded == ("10.0.0.2", "10.0.0.1", "10.0.0.3", "10.1.0.1", "10.1.0.2", "10.2.0.7", "0.0.0.1")


@pytest.mark.parametrize(
    ("overrides", "targets", "listeners"),
    [
        (["haproxy.processes=3"], 3, 1),
        (["load.tunnels=60k"], 1, 3),
        (["load.tunnels=60k", "haproxy.processes=3"], 3, 1),
        (["target.via=direct", "load.tunnels=60k"], 1, 1),
        (["target.via=direct", "load.tunnels=60k", "target.sources=127.0.0.2"], 3, 3),
        (["target.via=url", 'target.url=["ws://a/", "ws://b/"]'], 2, 1),
    ],
)
def test_targets_and_backend_listeners_follow_the_path(
    overrides: list[str], targets: int, listeners: int
) -> None:
    plan = make_plan(profile(*overrides), SERVER)
    assert (plan.targets, plan.backend_listeners) == (targets, listeners)


def test_half_a_million_tunnels_are_all_assigned() -> None:
    plan: Plan = make_plan(profile("load.tunnels=500k", shares=(0.6, 0.3, 0.1)), SERVER)
    parts = assignments(plan)
    assert sum(len(part.tunnel_ids) for part in parts) == 500_000
    assert np.bincount(whole(parts, "source_of")).max() < 28_000
