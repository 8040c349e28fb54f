"""What each interval shows, from a folder's files."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.made_folder import make_folder
from wsload.analysis.doubts import IntervalFacts
from wsload.analysis.folder import RunFolder, stored_profile
from wsload.analysis.interval_facts import FactsReader, Nearest, surroundings
from wsload.analysis.remedies import CpuUse
from wsload.record import layout
from wsload.record.layout import ActionLine, HostLine


def host(t_s: float, share: float = 0.5, **values: Any) -> HostLine:
    """A reading of two cores that have always been busy for that share."""
    return HostLine(t_s=t_s, busy_s=2 * share * t_s, idle_s=2 * (1 - share) * t_s, **values)


def read(path: Path, *readings: HostLine, **choices: Any) -> tuple[dict[float, IntervalFacts], FactsReader]:
    """By the time that each interval ends at; and the reader that has read all."""
    folder = RunFolder(make_folder(path, **choices))
    (path / layout.HOST).write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in readings))
    around = surroundings(folder, stored_profile(path).profile)
    reader = FactsReader(folder, around, folder.actions(), folder.hold_end_s())
    found = [reader.facts(line) for line in folder.intervals()]
    return {facts.to_s: facts for facts in found if facts is not None}, reader


def facts_of(path: Path, *readings: HostLine, **choices: Any) -> dict[float, IntervalFacts]:
    return read(path, *readings, **choices)[0]


def test_nearest_never_goes_back() -> None:
    nearest = Nearest(iter([(0.0, "a"), (1.1, "b"), (4.0, "c")]))
    assert [nearest.at(t_s) for t_s in (0.0, 1.0, 2.0, 3.0, 9.0)] == [
        (0.0, "a"),
        (1.1, "b"),
        (1.1, "b"),
        (4.0, "c"),
        (4.0, "c"),
    ]
    assert Nearest[str](iter([])).at(1.0) is None


def test_ramp_and_hold_are_judged_and_the_drain_is_not(tmp_path: Path) -> None:
    facts = facts_of(tmp_path)
    assert sorted(facts) == list(range(1, 14))
    assert [second for second, each in facts.items() if not each.in_hold] == [1, 2, 3]


def test_a_folder_without_readings_of_the_host_tells_the_rest(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, lag_ms=200, behind_ms=300, missing={6: [1]})[7]
    assert facts.late == facts.sent > 100
    assert facts.lag_p99_ms > 200
    assert (facts.behind_ms, facts.silent_workers, facts.cpu.cores) == (300, [1], None)
    assert facts.worker_cpu == {0: pytest.approx(0.4), 1: pytest.approx(0.4)}


def test_a_worker_is_missed_from_its_loss_on(tmp_path: Path) -> None:
    lost = ActionLine(6.5, "worker_lost", {"worker": 1, "reason": "driver worker 1 ended (SIGKILL)"})
    facts = facts_of(tmp_path, actions=[lost])
    assert [second for second, each in facts.items() if each.lost_workers] == list(range(7, 14))
    assert facts[9].lost_workers == ["driver worker 1 ended (SIGKILL) at 6.5 s"]


def test_openings_without_a_port_or_descriptor_fall_to_their_interval(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, failures={"no_port": 3, "no_descriptor": 2})
    assert sum(each.no_port for each in facts.values()) == 3
    assert sum(each.no_descriptor for each in facts.values()) == 2
    assert facts[3].no_port > 0


def test_counts_of_the_host_fall_to_the_interval_in_which_they_rose(tmp_path: Path) -> None:
    still = [host(second + 0.01, conntrack_max=100, conntrack=10, clocksource="tsc") for second in range(6)]
    risen = host(
        6.02,
        conntrack_max=100,
        conntrack=99,
        conntrack_drops=4,
        suspended_s=2.0,
        wall_step_s=-1.0,
        swapped_bytes=8,
        lost_logs=3,
        clocksource="hpet",
    )
    after = [msgspec.structs.replace(risen, t_s=second + 0.03) for second in range(7, 14)]
    facts = facts_of(tmp_path, *still, risen, *after)
    found = facts[6]
    assert (found.conntrack, found.conntrack_max, found.conntrack_drops) == (99, 100, 4)
    assert (found.suspended_s, found.wall_step_s, found.swapped_bytes) == (2.0, -1.0, 8)
    assert (found.lost_logs, found.clocksources) == (3, ("tsc", "hpet"))
    for second in (5, 7):
        other = facts[second]
        assert (other.conntrack_drops, other.suspended_s, other.wall_step_s) == (0, 0, 0)
        assert (other.swapped_bytes, other.lost_logs) == (0, 0)
        assert len(set(other.clocksources)) == 1


def test_what_rose_while_nobody_read_falls_to_one_interval(tmp_path: Path) -> None:
    readings = [host(float(second)) for second in range(5)]
    readings += [host(second + 0.0, swapped_bytes=50) for second in range(8, 14)]
    facts = facts_of(tmp_path, *readings)
    assert [second for second, each in facts.items() if each.swapped_bytes] == [6]
    assert sum(each.swapped_bytes for each in facts.values()) == 50


def test_lines_that_haproxy_dropped_count_once(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, dropped_logs=7)
    assert [each.lost_logs for each in facts.values()] == [7] + [0] * 12


def test_cpu_shares_are_told_over_a_second_at_least(tmp_path: Path) -> None:
    readings = [host(tenth / 10, share=0.8) for tenth in range(0, 150, 2)]
    first = list(facts_of(tmp_path, *readings, interval_s=0.2).values())[:8]
    assert [each.cpu.cores for each in first] == [None] * 4 + [pytest.approx(0.8)] * 4
    assert [bool(each.worker_cpu) for each in first] == [False] * 5 + [True] * 3


def test_the_hold_is_as_busy_as_its_intervals(tmp_path: Path) -> None:
    ramp = [HostLine(t_s=second, busy_s=2.0 * second, idle_s=0.0, stolen_s=0.0) for second in range(4)]
    hold = [
        HostLine(t_s=3.0 + second, busy_s=6.0 + second, idle_s=1.0 * second, stolen_s=0.5 * second)
        for second in range(1, 12)
    ]
    _, reader = read(tmp_path, *ramp, *hold)
    assert reader.hold_cpu() == CpuUse(cores=0.5, stolen=0.25)
    assert read(tmp_path)[1].hold_cpu() == CpuUse()


@pytest.mark.parametrize(
    ("environment", "cores", "sharers"),
    [
        ({"cores": 2}, 2, ["haproxy", "backend"]),
        ({"cores": 2, "core_ids": [0, 1], "shares_host": ["driver"]}, 2, []),
        (
            {"core_ids": [0, 1, 2], "pinned": {"driver": [0], "haproxy": [2], "backend": [0, 1]}},
            1,
            ["backend"],
        ),
        ({"core_ids": [0, 1], "pinned": {"haproxy": [1]}}, 2, ["haproxy", "backend"]),
        ({}, 0, []),
    ],
)
def test_who_shares_the_drivers_cores(
    tmp_path: Path, environment: dict[str, Any], cores: int, sharers: list[str]
) -> None:
    folder = RunFolder(make_folder(tmp_path))
    (tmp_path / layout.ENVIRONMENT).write_bytes(msgspec.json.encode(environment))
    around = surroundings(folder, stored_profile(tmp_path).profile)
    assert (around.workers, around.cores, around.sharers) == (2, cores, sharers)
