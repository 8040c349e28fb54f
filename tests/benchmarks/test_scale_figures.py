"""What the scale benchmark plans for a number of tunnels, and what it makes of a run."""

from pathlib import Path

import msgspec
import pytest

from benchmarks.scale_figures import Row, growth, limits_of, profile_text, row_of, table
from benchmarks.scale_samples import Owner, Sample
from tests.made_folder import make_folder
from tests.plan.machines import machine
from wsload.analysis.folder import RunFolder, stored_profile
from wsload.analysis.summary import summarise
from wsload.plan.preflight import checks
from wsload.plan.sharding import make_plan
from wsload.profile.load import parse_profile
from wsload.units import NS_PER_S

NOFILE = 20_000
MINUTE_NS = 60 * NS_PER_S
SLACK_NS = 200_000

WELL = Row(
    tunnels=100_000,
    exit_code=0,
    limits=[],
    processes={Owner.DRIVER: 6, Owner.HAPROXY: 11, Owner.BACKEND: 6, Owner.PARENT: 1},
    opened=100_000,
    opened_within_s=26.0,
    opened_per_s=3900.0,
    memory_bytes={Owner.DRIVER: 250_000_000, Owner.PARENT: 30_000_000},
    cpu_cores={Owner.DRIVER: 0.4, Owner.PARENT: 0.02},
    echoes_per_s=2000.0,
    validity="valid",
)


def row(**changes: object) -> Row:
    return msgspec.structs.replace(WELL, **changes)


@pytest.mark.parametrize(
    ("tunnels", "haproxy", "backend", "workers"),
    [(1000, 1, 1, 1), (9899, 1, 1, 2), (9900, 2, 1, 2), (100_000, 11, 6, 6), (500_000, 51, 28, 26)],
)
def test_the_profile_spreads_tunnels_so_that_each_process_has_descriptors_enough(
    tunnels: int, haproxy: int, backend: int, workers: int
) -> None:
    profile = parse_profile(profile_text(tunnels, MINUTE_NS, SLACK_NS, 4000, NOFILE), "scale")
    here = machine(nofile_hard=NOFILE, file_max=2_466_183, memory_available_bytes=24_000_000_000)
    plan = make_plan(profile, here)
    assert (profile.haproxy.processes, profile.backend.processes, plan.workers) == (haproxy, backend, workers)
    assert [check.text for check in checks(plan, here) if not check.ok] == []


@pytest.mark.parametrize("tunnels", [1000, 12_345, 500_000])
def test_chatty_tunnels_echo_2000_times_a_second_together_whatever_their_number(tunnels: int) -> None:
    profile = parse_profile(profile_text(tunnels, MINUTE_NS, SLACK_NS, 4000, NOFILE), "scale")
    chatty = profile.cohorts[2]
    number = make_plan(profile, machine(nofile_hard=NOFILE)).cohort_tunnels[2]
    assert chatty.rate_per_s is not None
    assert number * chatty.rate_per_s == pytest.approx(2000, rel=0.001)


@pytest.mark.parametrize(
    ("changes", "failures", "said"),
    [
        ({}, {}, []),
        ({"validity": "suspect", "reasons": ["a busy host"]}, {}, []),
        ({"opened": 99_000}, {"timeout": 1000}, ["opened 99,000 of 100,000 tunnels: timeout 1,000"]),
        ({"lost": 3}, {}, ["3 tunnels ended unasked"]),
        ({"opened_within_s": 31.0}, {}, ["opened within 31.0 s, asked 30 s"]),
        ({"tunnels": 500_000, "opened": 500_000, "opened_within_s": 385.0}, {}, []),
        ({"echoes_per_s": 1900.0}, {}, ["1,900 echoes/s of 2,000/s"]),
        ({"validity": "invalid", "reasons": ["lag"]}, {}, ["not valid: lag"]),
    ],
)
def test_each_bar_can_be_missed_and_says_by_what(
    changes: dict[str, object], failures: dict[str, int], said: list[str]
) -> None:
    assert limits_of(row(**changes), failures, "") == said


def test_growth_tells_proportion_from_a_constant() -> None:
    small = row(tunnels=1000, memory_bytes={Owner.DRIVER: 2_500_000}, cpu_cores={Owner.PARENT: 0.02})
    found = growth([small, WELL])
    assert found == {"memory, MB: driver": 1.0, "CPU in the hold, cores: parent": 0.0}
    assert growth([WELL]) == {}


def test_the_table_has_a_column_for_each_run_and_a_line_for_each_limit() -> None:
    refused = Row(tunnels=5_000_000, exit_code=104, limits=["wsload: the plan does not fit this machine"])
    lines = table([row(validity="suspect", reasons=["a busy host"]), refused]).splitlines()
    assert lines[0].split() == ["tunnels", "100,000", "N^"]
    assert "! 100,000 tunnels: suspect: a busy host" in lines
    assert lines[-1] == "! 5,000,000 tunnels: wsload: the plan does not fit this machine"


def test_a_row_holds_what_was_used_since_time_0_and_all_that_the_parent_holds(tmp_path: Path) -> None:
    folder = RunFolder(make_folder(tmp_path / "run"))
    info, summary = folder.info, summarise(folder, stored_profile(folder.path).profile)
    start_ns, ramp_ns, hold_ns = (
        info.start_monotonic_ns,
        round(info.ramp_s * NS_PER_S),
        round(info.hold_s * NS_PER_S),
    )
    opened = summary.tunnels.opened

    def sample(t_ns: int, cpu_s: float, size: int) -> Sample:
        memory = {Owner.DRIVER: size, Owner.PARENT: 70_000_000}
        return Sample(t_ns, {Owner.DRIVER: cpu_s}, memory, {Owner.DRIVER: 1}, 10**9 - size)

    samples = [
        sample(start_ns - 5 * NS_PER_S, 0.0, 1),
        sample(start_ns, 1.0, 1000),
        sample(start_ns + ramp_ns, 3.0, 1000 + 1500 * opened),
        sample(start_ns + ramp_ns + hold_ns, 3.0 + info.hold_s / 2, 1000 + 2000 * opened),
        sample(start_ns + ramp_ns + hold_ns + NS_PER_S, 99.0, 1),
    ]
    found = row_of(info, summary, samples, SLACK_NS, 0, "")
    assert found.memory_bytes == {Owner.DRIVER: 2000 * opened, Owner.PARENT: 70_000_000}
    assert found.bytes_per_tunnel[Owner.DRIVER] == 2000
    assert found.available_drop_bytes == 2000 * opened
    assert found.cpu_us_per_opening[Owner.DRIVER] == pytest.approx(2e6 / opened)
    assert found.cpu_cores[Owner.DRIVER] == pytest.approx(0.5)


def test_a_hold_that_no_two_samples_fall_into_used_no_cpu(tmp_path: Path) -> None:
    folder = RunFolder(make_folder(tmp_path / "run"))
    summary = summarise(folder, stored_profile(folder.path).profile)
    lone = Sample(
        folder.info.start_monotonic_ns, {Owner.DRIVER: 1.0}, {Owner.DRIVER: 1}, {Owner.DRIVER: 1}, 0
    )
    assert row_of(folder.info, summary, [lone], SLACK_NS, 0, "").cpu_cores == {Owner.DRIVER: 0.0}
