"""Fixed intervals of whole runs: in idle times, in ages, and which of them a box on the way made."""

import numpy as np
import pytest

from wsload.analysis.intervals import Intervals, is_unexplained
from wsload.record.outcome import Cause, Confidence

TIMERS = {"tunnel": 3_600_000}


def collected(
    idle_s: np.ndarray,
    age_s: np.ndarray,
    moment_s: np.ndarray,
    *,
    timers_ms: dict[str, int],
    unexplained: bool,
) -> Intervals:
    intervals = Intervals({"chatty": timers_ms})
    for values in zip(idle_s, age_s, moment_s, strict=True):
        intervals.add("chatty", unexplained, *map(float, values))
    return intervals


def chatty_ended_at_age_10s(rng: np.random.Generator, timers_ms: dict[str, int]) -> Intervals:
    """Tunnels opened over 5 s, each talking until it was 10 s old; some others ended at any age."""
    opened_s, age_s = rng.uniform(0, 5, 400), 10 + rng.uniform(0, 0.02, 400)
    age_s[:100] = rng.uniform(1, 20, 100)
    return collected(
        rng.exponential(0.3, 400), age_s, opened_s + age_s, timers_ms=timers_ms, unexplained=False
    )


def test_tunnels_that_talk_and_end_at_one_age_are_a_fixed_interval() -> None:
    (found,) = chatty_ended_at_age_10s(
        np.random.default_rng(1), TIMERS | {"backend-ends-after": 10_000}
    ).findings()
    assert found.endswith("after they opened: the backend's ends_after 10s.")
    assert 300 <= int(found.split()[0]) <= 305


def test_timers_of_silence_do_not_explain_an_age() -> None:
    (found,) = chatty_ended_at_age_10s(np.random.default_rng(1), {"tunnel": 10_000}).findings()
    assert found.endswith("neither a timer in force nor a known device's explains that.")


def test_tunnels_that_were_silent_from_the_start_are_told_of_once() -> None:
    rng = np.random.default_rng(2)
    opened_s, age_s = rng.uniform(0, 5, 200), 60 + rng.uniform(0, 0.02, 200)
    intervals = collected(age_s, age_s, opened_s + age_s, timers_ms={"tunnel": 60_000}, unexplained=False)
    (found,) = intervals.findings()
    assert found.startswith("200 chatty tunnels ended 60.0")
    assert "after their last byte: `timeout tunnel 1m`" in found


@pytest.mark.parametrize("ramp_s", [0.01, 0.3, 5.0])
def test_tunnels_that_ended_at_one_moment_have_no_fixed_age(ramp_s: float) -> None:
    rng = np.random.default_rng(3)
    moment_s = 30 + rng.uniform(0, 0.02, 300)
    age_s = moment_s - rng.uniform(0, ramp_s, 300)
    intervals = collected(rng.exponential(0.3, 300), age_s, moment_s, timers_ms=TIMERS, unexplained=False)
    assert list(intervals.findings()) == []


def test_only_unexplained_ends_at_an_unknown_interval_point_to_the_path() -> None:
    rng = np.random.default_rng(4)
    idle_s = np.concatenate([350 + rng.uniform(0, 0.1, 50), rng.exponential(40, 50)])
    for timers_ms, unexplained, found in (
        (TIMERS, True, [350]),
        (TIMERS, False, []),
        ({"tunnel": 350_000}, True, []),
    ):
        intervals = collected(idle_s, idle_s, idle_s, timers_ms=timers_ms, unexplained=unexplained)
        assert [round(c.center_s) for c in intervals.on_the_path().get("chatty", ())] == found


@pytest.mark.parametrize(
    ("cause", "confidence", "expected"),
    [
        (Cause.PEER_FIN, Confidence.LIKELY, True),
        (Cause.PEER_RESET, Confidence.LIKELY, True),
        (Cause.CLIENT_RESET, Confidence.LIKELY, True),  # HAProxy says so, and the client did not
        (Cause.CLIENT_RESET, Confidence.CERTAIN, False),  # the plan did
        (Cause.BACKEND_FIN, Confidence.LIKELY, False),
    ],
)
def test_what_nobody_known_ended_may_be_a_box_on_the_way(
    cause: Cause, confidence: Confidence, expected: bool
) -> None:
    assert is_unexplained(cause, confidence) is expected
