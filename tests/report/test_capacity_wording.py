"""The knee in words."""

from typing import Any

import msgspec
import pytest

from tests.analysis.made_plateaus import CUT_ROW, plateau
from wsload.analysis.knee import knee_of
from wsload.record.outcome import Limit
from wsload.record.summary import CapacityResult, Summary, TunnelsPart, VerdictPart
from wsload.report.capacity_wording import LIMIT_WORDS, capacity_rows, knee_sentence

PASSED = plateau(825, live=715.4, slots=776.0, ghosts=60.6, cuts_per_hour=200160.0)


def failed(level: int, limit: Limit, **figures: Any) -> Any:
    return plateau(level, passed=False, limit=limit, evidence="so it was", failed=80, **figures)


def summary(capacity: CapacityResult | None) -> Summary:
    tunnels = TunnelsPart(
        planned=1, attempted=1, opened=1, failed=0, peak=1, held=1, held_by_cohort={}, planned_by_cohort={}
    )
    return Summary(
        schema="",
        title="t",
        started="",
        duration_s=1,
        partial=False,
        verdict=VerdictPart(slo="passed", validity="valid", reasons=[], slo_rows=[]),
        tunnels=tunnels,
        metrics={},
        counters={},
        disconnects={},
        handshake_failures={},
        haproxy={},
        driver={},
        backend={},
        capacity=capacity,
    )


def test_the_sentence_says_how_many_and_what_bound() -> None:
    assert knee_sentence(knee_of([PASSED, failed(1068, Limit.MAXCONN)])) == (
        "715 live tunnels within the SLO (825 offered); at 1,068, HAProxy's maxconn bound: so it was"
    )


def test_a_search_whose_highest_level_passed_says_that_it_may_go_higher() -> None:
    assert knee_sentence(knee_of([PASSED])) == (
        "715 live tunnels within the SLO (825 offered), the highest level tried"
    )


def test_a_search_in_which_nothing_passed_names_its_lowest_level() -> None:
    found = knee_of([failed(500, Limit.TIMER, slo_rows=[CUT_ROW])])
    assert knee_sentence(found) == (
        "no level passed, not even 500 tunnels; at 500, the idle timer bound: so it was"
    )


@pytest.mark.parametrize("limit", Limit)
def test_every_limit_has_words(limit: Limit) -> None:
    assert LIMIT_WORDS[limit] in knee_sentence(knee_of([PASSED, failed(1068, limit)]))


def test_each_level_has_its_row_and_how_it_was_held_stands_above() -> None:
    shaky = plateau(900, steady=False, maxconn=0, cuts_per_hour=0.0)
    found = msgspec.structs.replace(knee_of([PASSED, failed(1068, Limit.MAXCONN), shaky]), held="held 12s: …")
    knee, held, first, second, third = capacity_rows(summary(found))
    assert (knee.name, held.name, held.cells) == ("capacity", "each level", (("", "held 12s: …"),))
    assert first.name == "level 825"
    assert first.cells == (
        ("live", "715"),
        ("slots", "776"),
        ("ghosts", "61"),
        ("cuts/h", "200,160"),
        ("failed", "0"),
        ("", "✓ passed"),
    )
    assert second.cells[-1] == ("", "✗ HAProxy's maxconn")
    assert (second.grave, first.grave) == (True, False)
    assert third.cells == (
        ("live", "900"),
        ("cuts/h", "0"),
        ("failed", "0"),
        ("", "✓ passed"),
        ("", "not steady"),
    )


def test_a_run_without_a_search_has_no_rows() -> None:
    assert capacity_rows(summary(None)) == []
