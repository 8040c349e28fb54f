"""Shares and endings, without a server."""

from itertools import cycle, islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsload.backend.behaviour import Draws, Ending, Fate, timed_end
from wsload.profile.model import Backend, EndsWith
from wsload.record.backend_log import BackendWire, EndedBy

SHARES = st.floats(0, 0.5)


@given(st.text(max_size=5), SHARES, SHARES, st.integers(50, 500))
def test_shares_of_requests_are_met_almost_exactly(
    seed: str, refused: float, missing: float, requests: int
) -> None:
    draws = Draws(seed, Backend(refuse_share=refused, upgrade_missing_share=missing))
    fates = [draws.fate() for _ in range(requests)]
    assert abs(fates.count(Fate.REFUSED) - refused * requests) < 5
    assert abs(fates.count(Fate.UNANSWERED) - missing * requests) < 5


@given(st.text(max_size=5), st.integers(2, 10))
def test_a_share_falls_evenly_on_cohorts_that_take_turns(seed: str, cohorts: int) -> None:
    draws = Draws(seed, Backend(ends_share=0.5))
    ended = [cohort for cohort in islice(cycle(range(cohorts)), 100 * cohorts) if draws.ends()]
    assert all(40 < ended.count(cohort) < 60 for cohort in range(cohorts))


@given(st.text(max_size=5))
def test_what_is_refused_says_nothing_about_what_ends_or_is_closed_when_idle(seed: str) -> None:
    draws = Draws(seed, Backend(refuse_share=0.5, ends_share=0.5, idle_close_share=0.5))
    drawn = [(draws.fate(), draws.ends(), draws.closes_idle()) for _ in range(800)]
    assert len(set(drawn)) == 8
    assert all(80 < drawn.count(all_three) < 120 for all_three in set(drawn))


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_none_and_all_are_none_and_all(share: float) -> None:
    draws = Draws("x", Backend(refuse_share=share, ends_share=share, idle_close_share=share))
    assert all((draws.fate() is Fate.REFUSED) == bool(share) for _ in range(1000))
    assert all(draws.ends() == bool(share) for _ in range(1000))
    assert all(draws.closes_idle() == bool(share) for _ in range(1000))


@pytest.mark.parametrize(
    ("how", "frame", "ending", "wire", "code"),
    [
        (EndsWith.CLOSE, b"\x88\x02\x0f\xa1", Ending.STARTED, BackendWire.CLOSE, 4001),
        (EndsWith.FIN, b"", Ending.STARTED, BackendWire.FIN, None),
        (EndsWith.RST, b"", Ending.RESET, BackendWire.RST, None),
        (EndsWith.HALF_OPEN, b"", Ending.HALF_OPEN, BackendWire.HALF_OPEN, None),
    ],
)
def test_only_a_close_sends_a_close_frame(
    how: EndsWith, frame: bytes, ending: Ending, wire: BackendWire, code: int | None
) -> None:
    sent, end = timed_end(Backend(ends_with=how, close_code=4001))
    assert (sent, *end) == (frame, ending, EndedBy.BACKEND, wire, code)
