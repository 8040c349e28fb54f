"""When a run may not be believed, and what the reasons say."""

from typing import Any

import msgspec
import pytest

from tests.analysis.made_plateaus import plateau
from tests.made_info import run_info
from wsload.analysis.doubts import Finding
from wsload.analysis.interval_judge import HoldDoubts
from wsload.analysis.knee import knee_of
from wsload.analysis.remedies import CpuUse, Surroundings
from wsload.analysis.validity import Observed, judge_validity
from wsload.record.layout import ActionLine
from wsload.record.outcome import Doubt, Limit, Validity

INFO = run_info(workers=2, ramp_s=3.0)
SOUND: dict[str, Any] = {"lag_p99_ms": 1.0, "worker_cpu": {0: 0.5, 1: 0.6}, "sent": 10_000, "intervals": 13}


def judged(*actions: ActionLine, **changes: Any) -> tuple[Validity, list[str]]:
    return judge_validity(INFO, Observed(**(SOUND | changes)), actions)


def test_a_sound_run_is_valid_without_reasons() -> None:
    assert judged() == (Validity.VALID, [])


def test_a_run_in_which_nothing_happened_is_not_invalid_for_that() -> None:
    assert judged(lag_p99_ms=None, worker_cpu={}, sent=0) == (Validity.VALID, [])


@pytest.mark.parametrize(
    ("changes", "grade", "reason"),
    [
        (
            {"lag_p99_ms": 80.0},
            Validity.INVALID,
            "generator lag p99 in the hold was 80ms, over the limit of 50ms, so latencies are the "
            "generator's own; add workers: --set load.workers=3, or lower the load",
        ),
        ({"missing_workers": {1: 3}}, Validity.SUSPECT, "driver worker 1 sent nothing for 3 intervals; "),
        (
            {"missing_workers": {1: 3, 4: 8, 7: 1}},
            Validity.SUSPECT,
            "3 driver workers sent nothing for up to 8 intervals each; give the host more room",
        ),
        (
            {"worker_cpu": {0: 0.2, 1: 0.96}},
            Validity.SUSPECT,
            "driver worker 1 used 96 % of a core in the hold; add workers: --set load.workers=3",
        ),
        (
            {"worker_cpu": {0: 0.91, 1: 0.96}},
            Validity.SUSPECT,
            "driver workers 0 and 1 used 91 and 96 % of a",
        ),
        ({"lost_logs": 1}, Validity.SUSPECT, "1 line of HAProxy's log did not arrive, so "),
        ({"partial": True}, Validity.SUSPECT, "the run was cut short before its end of 15s; "),
        ({"intervals": 9}, Validity.SUSPECT, "only 9 of 13 intervals were recorded; "),
        (
            {"behind_ms": 1500.0},
            Validity.SUSPECT,
            "openings or messages ran up to 1.5s behind their schedule; ",
        ),
        (
            {"unsent": 100},
            Validity.SUSPECT,
            "100 of 10,100 messages due in the hold (0.9901%) were not sent, ",
        ),
    ],
)
def test_each_doubt_has_its_figure_and_remedy(changes: dict[str, Any], grade: Validity, reason: str) -> None:
    found, reasons = judged(**changes)
    assert found is grade
    assert len(reasons) == 1
    assert reasons[0].startswith(reason)


@pytest.mark.parametrize(
    ("action", "grade", "reason"),
    [
        (
            ActionLine(4.2, "worker_lost", {"worker": 1, "reason": "driver worker 1 ended (SIGKILL)"}),
            Validity.INVALID,
            "driver worker 1 ended (SIGKILL) at 4.2 s, and its tunnels with it; ",
        ),
        (
            ActionLine(4.2, "haproxy_exited", {"returncode": -9}),
            Validity.INVALID,
            "HAProxy ended unasked with status -9 at 4.2 s; ",
        ),
        (ActionLine(4.2, "backend_exited"), Validity.INVALID, "the backend ended unasked at 4.2 s; "),
    ],
)
def test_a_part_that_ended_unasked_makes_a_run_invalid(
    action: ActionLine, grade: Validity, reason: str
) -> None:
    found, reasons = judged(action)
    assert found is grade
    assert reasons[0].startswith(reason)


def test_a_lost_worker_is_named_once_though_it_is_missing_too() -> None:
    _, reasons = judged(ActionLine(4.2, "worker_lost", {"worker": 1}), missing_workers={1: 5})
    assert len(reasons) == 1


def test_an_interruption_says_when() -> None:
    grade, reasons = judged(ActionLine(7.25, "interrupted"), partial=True, intervals=7)
    assert grade is Validity.SUSPECT
    assert reasons == [
        "the run was cut short at 7.2 s of 15s; the figures cover what there is, run again for all"
    ]


def test_the_gravest_reasons_come_first() -> None:
    grade, reasons = judged(ActionLine(5, "backend_exited"), lost_logs=3, lag_p99_ms=99.0)
    assert grade is Validity.INVALID
    assert [reason.split()[0] for reason in reasons] == ["generator", "the", "3"]


@pytest.mark.parametrize(
    "changes",
    [
        {"lag_p99_ms": 50.0},
        {"worker_cpu": {0: 0.9}},
        {"behind_ms": 1000.0},
        {"unsent": 10},
        {"intervals": 12},
    ],
)
def test_a_figure_at_its_limit_is_no_doubt(changes: dict[str, Any]) -> None:
    assert judged(**changes) == (Validity.VALID, [])


@pytest.mark.parametrize(
    ("unanswered", "grade"), [(10, Validity.VALID), (11, Validity.SUSPECT), (101, Validity.INVALID)]
)
def test_messages_without_a_reply_are_not_left_out_in_silence(unanswered: int, grade: Validity) -> None:
    found, reasons = judged(awaited=10_000, unanswered=unanswered)
    assert found is grade
    assert all("had no reply" in reason for reason in reasons)


def test_cells_that_keep_their_shared_haproxy_busy_are_suspect() -> None:
    shared = msgspec.structs.replace(INFO, haproxy_sharers=6)
    observed = Observed(**(SOUND | {"haproxy_busy": 0.83, "haproxy_busy_opening": 0.91}))
    assert judge_validity(shared, observed, ()) == (
        Validity.SUSPECT,
        [
            "CPU mixed: the HAProxy that 6 cells shared was busy, or waited for a core, for 83 % of the time "
            "that is judged, so they slowed each other; lower the load, or write parallel = false",
            "CPU mixed: the HAProxy that 6 cells shared was busy, or waited for a core, for 91 % of the "
            "ramp, so handshakes waited for those of other cells; give it more time: "
            '--set load.ramp="6s", or write parallel = false',
        ],
    )
    assert judged(haproxy_busy=0.6, haproxy_busy_opening=0.7) == (Validity.VALID, [])


def test_a_capacity_that_the_generator_bounds_is_not_valid() -> None:
    evidence = "the generator's lag p99 was 80 ms"
    failed = plateau(900, passed=False, limit=Limit.GENERATOR, evidence=evidence)
    grade, reasons = judged(capacity=knee_of([plateau(500), failed]))
    assert (grade, reasons) == (
        Validity.INVALID,
        [
            "at 900 tunnels the generator's lag p99 was 80 ms, so the capacity found is the generator's own; "
            "add workers: --set load.workers=3, or free cores for wsload"
        ],
    )


def test_a_generator_that_gave_out_far_above_the_knee_does_no_harm() -> None:
    failed = plateau(900, passed=False, limit=Limit.GENERATOR)
    nearer = plateau(600, passed=False, limit=Limit.MAXCONN)
    assert judged(capacity=knee_of([plateau(500), failed, nearer])) == (Validity.VALID, [])


def test_a_worker_that_was_silent_makes_a_search_invalid_as_no_intervals_decide_there() -> None:
    failed = plateau(900, passed=False, limit=Limit.MAXCONN)
    grade, reasons = judged(missing_workers={1: 3}, capacity=knee_of([plateau(500), failed]))
    assert grade is Validity.INVALID
    assert reasons[0].startswith("driver worker 1 sent nothing for 3 intervals; ")


def test_a_knee_between_levels_that_were_not_steady_is_suspect() -> None:
    failed = plateau(900, passed=False, limit=Limit.MAXCONN)
    shaky = plateau(500, steady=False, end_s=18.0)
    grade, reasons = judged(capacity=knee_of([shaky, failed]))
    assert grade is Validity.SUSPECT
    assert reasons == [
        "the slots in use at 500 tunnels still rose or fell when they were judged; hold levels longer: "
        "--set capacity.plateau=36s"
    ]
    assert judged(capacity=knee_of([shaky, plateau(600), failed])) == (Validity.VALID, [])


@pytest.mark.parametrize(
    ("changes", "grade", "reason"),
    [
        (
            {"attempted": 5000, "no_port": 6},
            Validity.INVALID,
            "6 of 5,000 openings found no free local port of the driver's own, so the load was less than "
            "planned; name more addresses of this host in target.sources",
        ),
        (
            {"attempted": 5000, "no_descriptor": 5},
            Validity.SUSPECT,
            "5 of 5,000 openings found no free file descriptor of the driver's own, so the load was less "
            "than planned; raise the limit (ulimit -n), or spread the tunnels: --set load.workers=3",
        ),
    ],
)
def test_openings_that_found_nothing_of_our_own(
    changes: dict[str, Any], grade: Validity, reason: str
) -> None:
    found, reasons = judged(**changes)
    assert (found, len(reasons)) == (grade, 1)
    assert reasons[0].startswith(reason)


def test_a_search_names_its_own_failures_as_its_limit() -> None:
    found = knee_of([plateau(500), plateau(900, passed=False, limit=Limit.MAXCONN)])
    assert judged(attempted=5000, no_port=600, capacity=found) == (Validity.VALID, [])


def test_more_workers_are_no_remedy_on_full_cores() -> None:
    around = Surroundings(workers=2, cores=2, sharers=["haproxy"])
    _, reasons = judged(lag_p99_ms=80.0, around=around, cpu=CpuUse(cores=0.99))
    assert "the 2 cores that driver and HAProxy share were full, so more workers would not" in reasons[0]


def test_what_the_whole_hold_shows_is_not_told_of_its_intervals_again() -> None:
    hold = HoldDoubts(intervals=10)
    busy = Finding(Validity.SUSPECT, Doubt.WORKER_CPU, 0.97, "driver worker 1 used 97 % of a core")
    hold.suspect_for[Doubt.WORKER_CPU], hold.worst[Doubt.WORKER_CPU] = 8, busy
    assert len(judged(worker_cpu={0: 0.2, 1: 0.96}, hold=hold)[1]) == 1
    assert judged(hold=hold) == (
        Validity.SUSPECT,
        ["in 8 of 10 intervals of the hold driver worker 1 used 97 % of a core"],
    )
