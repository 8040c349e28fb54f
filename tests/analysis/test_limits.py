"""What bound, row by row, and the knee it belongs to."""

from typing import Any

import pytest

from tests.analysis.made_plateaus import CUT_ROW, INFO, plateau
from wsload.analysis.folder import FailureRow
from wsload.analysis.knee import knee_of, knee_rows
from wsload.analysis.limits import TABLE, Shown, name_limit, shown_of
from wsload.record.outcome import Cause, Limit


def shown(
    causes: dict[str, int] | None = None,
    reasons: dict[str, int] | None = None,
    *,
    derived: bool = False,
    **figures: Any,
) -> Shown:
    return Shown(plateau(passed=False, **figures), INFO, reasons or {}, causes or {}, derived)


FULL: dict[str, Any] = {"peak_slots": 995}
EVIDENCE = [
    (
        Limit.GENERATOR,
        shown(reasons={"no_port": 3}),
        "3 openings found no port or descriptor of the generator's",
    ),
    (Limit.GENERATOR, shown(reasons={"no_descriptor": 1}), "1 openings found no port"),
    (Limit.GENERATOR, shown(lag_p99_ms=80.0), "the generator's lag p99 was 80 ms"),
    (Limit.GENERATOR, shown(driver_cpu=0.95), "a driver worker used 95% of a core"),
    (Limit.MEMORY, shown(allocations_failed=12), "HAProxy was refused memory 12 times"),
    (Limit.SOURCE_PORTS, shown({Cause.SOURCE_PORTS: 7}), "7 handshakes: HAProxy had no free port toward"),
    (
        Limit.MAXCONN,
        shown({Cause.BACKLOG_WAIT: 9}, **FULL),
        "995 of 1,000 slots were taken; 9 clients waited in the backlog",
    ),
    (
        Limit.DESCRIPTORS,
        shown(derived=True, **FULL),
        "995 of 1,000 slots were taken; HAProxy worked out that maxconn from its descriptor limit",
    ),
    (
        Limit.TIMER,
        shown(slo_rows=[CUT_ROW], cuts_per_hour=7200.0),
        "only cuts broke the SLO: 7,200 an hour, at any level",
    ),
    (Limit.HAPROXY_CPU, shown(haproxy_cpu=0.97), "HAProxy used 97% of a core"),
    (Limit.BACKEND, shown({Cause.BACKEND_TIMEOUT: 4}), "4 handshakes failed at the backend"),
    (Limit.BACKEND, shown(backend_cpu=0.99), "the backend used 99% of a core"),
    (Limit.UNKNOWN, shown(), "handshake_failed rate<1% broken, and no limit shows"),
]


@pytest.mark.parametrize(("limit", "made", "evidence"), EVIDENCE)
def test_each_limit_is_named_from_its_evidence(limit: Limit, made: Shown, evidence: str) -> None:
    found, words = name_limit(made)
    assert found is limit
    assert words.startswith(evidence)


def test_every_limit_has_evidence_and_an_example_here() -> None:
    assert {limit for limit, _ in TABLE} | {Limit.UNKNOWN} == set(Limit) == {limit for limit, *_ in EVIDENCE}


def test_of_several_limits_the_one_that_is_surest_is_named() -> None:
    everything = shown(
        {Cause.SOURCE_PORTS: 7, Cause.BACKEND_REFUSED: 1},
        {"no_port": 3},
        allocations_failed=2,
        haproxy_cpu=0.97,
        **FULL,
    )
    assert name_limit(everything)[0] is Limit.GENERATOR
    without_us = everything._replace(reasons={})
    assert name_limit(without_us)[0] is Limit.MEMORY
    with_memory = without_us._replace(plateau=plateau(passed=False, haproxy_cpu=0.97, **FULL))
    assert name_limit(with_memory)[0] is Limit.SOURCE_PORTS
    assert name_limit(with_memory._replace(causes={}))[0] is Limit.MAXCONN


def failure(t_s: float, reason: str, cause: Cause) -> FailureRow:
    return FailureRow(
        t_s=t_s,
        worker=0,
        cohort="quiet",
        tunnel=1,
        local_ip="",
        local_port=None,
        remote="",
        waited_s=1.0,
        reason=reason,
        cause=cause,
    )


def test_only_the_failures_of_the_plateau_are_its_evidence() -> None:
    failures = [failure(t_s, "503", Cause.SOURCE_PORTS) for t_s in (1.0, 25.0, 33.5, 50.0)]
    made = shown_of(plateau(passed=False, opened_s=20, end_s=33), INFO, failures, False)
    assert made.causes == {Cause.SOURCE_PORTS: 2}
    assert made.reasons == {"503": 2}


def failed(level: int, limit: Limit, **figures: Any) -> Any:
    return plateau(level, passed=False, limit=limit, evidence=f"for {limit}", **figures)


def test_the_knee_is_the_highest_level_that_passed_and_names_what_bound_at_the_first_that_failed() -> None:
    found = knee_of(
        [
            plateau(500, live=430.0),
            failed(1150, Limit.GENERATOR),
            plateau(825, live=715.0),
            failed(990, Limit.MAXCONN),
        ]
    )
    assert (found.level, found.capacity, found.first_failed) == (825, 715.0, 990)
    assert (found.limit, found.evidence) == (Limit.MAXCONN, "for maxconn")
    assert found.live_at_limit == 715.0


def test_a_level_that_failed_below_one_that_passed_is_not_the_knee() -> None:
    found = knee_of([failed(500, Limit.BACKEND), plateau(600)])
    assert (found.level, found.first_failed, found.limit) == (600, None, "")


def test_where_no_level_passed_the_lowest_decides() -> None:
    made = [failed(500, Limit.TIMER, slo_rows=[CUT_ROW], live=300.0), failed(900, Limit.MAXCONN)]
    found = knee_of(made)
    assert (found.level, found.capacity, found.first_failed, found.limit) == (0, 0.0, 500, Limit.TIMER)
    assert found.live_at_limit == 300.0
    assert knee_rows(found) == [CUT_ROW]


def test_the_slo_is_that_of_the_knee() -> None:
    at_knee = plateau(700)
    found = knee_of([plateau(500), failed(900, Limit.MAXCONN), at_knee])
    assert knee_rows(found) is at_knee.slo_rows
