"""When an interval may not be believed, and what is said of it."""

from typing import Any

import pytest

from wsload.analysis.doubts import Context, IntervalFacts, find_doubts
from wsload.analysis.remedies import CpuUse, Surroundings
from wsload.record.outcome import Doubt, Validity

AROUND = Surroundings(workers=2, cores=4, sharers=["haproxy", "backend"])
SOUND: dict[str, Any] = {
    "from_s": 4.0,
    "to_s": 5.0,
    "in_hold": True,
    "sent": 1000,
    "late": 0,
    "lag_p99_ms": 1.0,
    "behind_ms": 20.0,
    "cpu": CpuUse(cores=0.5, worker=0.5),
    "worker_cpu": {0: 0.4, 1: 0.5},
    "conntrack": 100,
    "conntrack_max": 1000,
    "clocksources": ("tsc", "tsc"),
}


def doubts(**changes: Any) -> list[tuple[Validity, Doubt, str]]:
    found = find_doubts(Context(50.0, AROUND), IntervalFacts(**(SOUND | changes)))
    return [(each.validity, each.doubt, each.words) for each in found]


def test_a_sound_interval_has_none() -> None:
    assert doubts() == []


INVALID, SUSPECT = Validity.INVALID, Validity.SUSPECT


@pytest.mark.parametrize(
    ("changes", "grade", "doubt", "words"),
    [
        (
            {"late": 11, "lag_p99_ms": 80.0},
            INVALID,
            Doubt.LAG,
            "generator lag p99 was 80ms, over the limit of 50ms, so latencies are the generator's own; there "
            "was CPU time left",
        ),
        (
            {"replies": 1000, "late_replies": 11},
            INVALID,
            Doubt.LAG,
            "11 replies arrived to what was sent late in the interval before, so ",
        ),
        (
            {"lost_workers": ["driver worker 1 ended (SIGKILL) at 4.2 s"]},
            INVALID,
            Doubt.WORKER_LOST,
            "driver worker 1 ended (SIGKILL) at 4.2 s, so from then on the load was not the plan's; ",
        ),
        ({"silent_workers": [1]}, INVALID, Doubt.WORKER_LOST, "driver worker 1 sent nothing; "),
        ({"no_port": 3}, INVALID, Doubt.NO_PORT, "3 openings found no free local port; name more addresses"),
        (
            {"no_descriptor": 1},
            INVALID,
            Doubt.NO_DESCRIPTOR,
            "1 opening found no free file descriptor; raise the limit (ulimit -n), or spread the tunnels: "
            "--set load.workers=3",
        ),
        (
            {"conntrack": 1000, "conntrack_drops": 7},
            INVALID,
            Doubt.CONNTRACK,
            "conntrack's table held 1,000 of 1,000 connections and dropped 7; raise net.netfilter.nf_",
        ),
        (
            {"conntrack": 900},
            SUSPECT,
            Doubt.CONNTRACK,
            "conntrack's table held 900 of 1,000 connections; raise",
        ),
        ({"suspended_s": 3.0}, INVALID, Doubt.CLOCK, "the host was suspended for 3s, "),
        ({"wall_step_s": -0.5}, SUSPECT, Doubt.CLOCK, "the wall clock was set back by 500ms, "),
        ({"wall_step_s": 2.0}, SUSPECT, Doubt.CLOCK, "the wall clock was set ahead by 2s, "),
        (
            {"clocksources": ("tsc", "hpet")},
            SUSPECT,
            Doubt.CLOCK,
            "the kernel gave up its clock source tsc for hpet; ",
        ),
        (
            {"worker_cpu": {0: 0.3, 1: 0.97}, "cpu": CpuUse(cores=0.5, worker=0.97)},
            SUSPECT,
            Doubt.WORKER_CPU,
            "driver worker 1 used 97 % of a core; add workers: --set load.workers=3",
        ),
        (
            {"cpu": CpuUse(cores=0.97)},
            SUSPECT,
            Doubt.HOST_CPU,
            "the 4 cores that driver, HAProxy and backend share were 97 % busy, so each waited",
        ),
        (
            {"behind_ms": 300.0},
            SUSPECT,
            Doubt.BEHIND,
            "an opening or message was 300ms behind its schedule; there was CPU time left",
        ),
        ({"lost_logs": 1}, SUSPECT, Doubt.LOST_LOGS, "1 line of HAProxy's log did not arrive, "),
        (
            {"swapped_bytes": 5 * 2**20},
            SUSPECT,
            Doubt.SWAP,
            "the host moved 5MiB to or from swap; free memory",
        ),
    ],
)
def test_each_doubt_has_its_grade_figure_and_remedy(
    changes: dict[str, Any], grade: Validity, doubt: Doubt, words: str
) -> None:
    ((found_grade, found_doubt, found_words),) = doubts(**changes)
    assert (found_grade, found_doubt) == (grade, doubt)
    assert found_words.startswith(words)


@pytest.mark.parametrize(
    "changes",
    [
        {"late": 10, "lag_p99_ms": 80.0},  # of 1,000: the p99 is within the limit
        {"sent": 4, "late": 1, "lag_p99_ms": 80.0},  # one message, and the p99 of four is the latest
        {"replies": 1000, "late_replies": 10},
        {"conntrack": 899, "conntrack_drops": 3},  # a clash of two packets drops one too
        {"conntrack": 0, "conntrack_max": 0},  # not loaded
        {"suspended_s": 0.004, "wall_step_s": 0.05},
        {"clocksources": ("", "tsc")},
        {"worker_cpu": {0: 0.9}},
        {"cpu": CpuUse()},
        {"behind_ms": 250.0},
        {"swapped_bytes": 8192},
    ],
)
def test_what_is_common_is_no_doubt(changes: dict[str, Any]) -> None:
    assert doubts(**changes) == []


def test_two_late_messages_of_a_few_are_a_doubt() -> None:
    assert [doubt for _, doubt, _ in doubts(sent=4, late=2, lag_p99_ms=80.0)] == [Doubt.LAG]


def test_a_limit_above_the_bound_is_the_bound_for_being_behind() -> None:
    facts = IntervalFacts(**(SOUND | {"behind_ms": 900.0}))
    assert find_doubts(Context(1000.0, AROUND), facts) == []


def test_full_cores_that_the_driver_shares_with_nobody_are_its_own_affair() -> None:
    apart = Context(50.0, Surroundings(workers=1, cores=1))
    assert find_doubts(apart, IntervalFacts(**(SOUND | {"cpu": CpuUse(cores=1.0)}))) == []


def test_the_gravest_stands_first_and_each_doubt_once() -> None:
    found = doubts(behind_ms=400.0, late=500, lag_p99_ms=400.0, suspended_s=1.0, wall_step_s=1.0)
    assert [(grade, doubt) for grade, doubt, _ in found] == [
        (INVALID, Doubt.LAG),
        (INVALID, Doubt.CLOCK),
        (SUSPECT, Doubt.BEHIND),
    ]
