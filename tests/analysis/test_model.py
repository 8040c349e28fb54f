"""The closed form of capacity against the timer."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsload.analysis.model import gaps_of, not_modelled, predict
from wsload.profile.load import parse_profile
from wsload.profile.model import Profile

S = 1_000_000_000

QUIET = '[[cohort]]\nname = "quiet"\ntraffic = "quiet"\ngaps = "exp(2s)"\nreconnect = "when-due"\n'
SEARCH = '[capacity]\nfrom = 100\nto = 5000\n[slo]\nhandshake_failed = ["rate<0.1%"]\n'


def profile(cohorts: str = QUIET, more: str = "", maxconn: int = 1000) -> Profile:
    return parse_profile(f'title = "made"\n[haproxy]\nmaxconn = {maxconn}\n{cohorts}\n{more}', "made.toml")


@given(st.floats(0.05, 60.0))
def test_quiet_clients_that_come_back_are_live_until_they_speak_or_are_cut(timer_s: float) -> None:
    found = predict(profile(), round(timer_s * S))
    live_s = 2 * -math.expm1(-timer_s / 2)
    assert found.live_share == pytest.approx(live_s / 2)
    assert found.cuts_per_live_s * found.live_share == pytest.approx(math.exp(-timer_s / 2) / 2)
    assert found.handshakes_per_live_s == pytest.approx(found.cuts_per_live_s)
    assert found.ghosts_per_live == 0
    assert found.live_by_slots == 1000


def test_a_vanished_clients_slot_is_held_for_the_timer_less_its_last_bytes_age() -> None:
    # A byte each second, for certain: its age is uniform over that second.
    cohort = '[[cohort]]\nname = "c"\ntraffic = "chatty"\nrate = "1/s"\nvanish = "0.001%/s"\n'
    found = predict(profile(cohort), 60 * S)
    assert found.hold_s == pytest.approx(59.5, rel=1e-5)
    assert found.ghosts_per_live == pytest.approx(1e-5 * 59.5, rel=1e-5)
    assert found.live_by_slots == pytest.approx(1000 / (1 + 1e-5 * 59.5))


@given(st.floats(0.5, 3600.0), st.floats(1e-5, 0.05))
def test_live_tunnels_and_their_ghosts_fill_the_slots(timer_s: float, vanish: float) -> None:
    cohort = QUIET + f'vanish = "{vanish:.8f}/s"\n'
    found = predict(profile(cohort), round(timer_s * S))
    assert found.live_by_slots * found.slots_per_live == pytest.approx(1000)
    assert 0 < found.hold_s <= timer_s
    assert found.ghosts_per_live == pytest.approx(vanish * found.hold_s, rel=1e-4)


def test_for_rare_vanishing_the_hold_is_that_of_the_second_moment() -> None:
    # haproxy-facts: ghosts = rate x hold, the hold being T - E[m^2] / 2 E[m] with m = min(gap, T).
    found = predict(profile(QUIET + 'vanish = "0.0001%/min"\n'), 4 * S)
    e = math.exp(-2)
    first, second = 2 * (1 - e), 2 * (4 * (1 - e) - 2 * 4 * e)
    assert found.hold_s == pytest.approx(4 - second / (2 * first), rel=1e-4)


def test_capacity_falls_with_the_timer_as_ghosts_take_the_slots() -> None:
    made = profile(QUIET + 'vanish = "3%/s"\n', SEARCH)
    live = [predict(made, timer * S).live_by_slots for timer in (2, 8, 32, 3600, 86_400)]
    assert live == sorted(live, reverse=True)
    assert live[-1] == pytest.approx(1000 / (0.03 * 86_400), rel=0.01)


def test_no_more_can_be_live_than_the_search_offers() -> None:
    found = predict(profile(more=SEARCH.replace("5000", "400")), S // 2)
    assert found.live_at_limit == found.live_by_offer == pytest.approx(400 * -math.expm1(-0.25))


def test_a_bound_on_cuts_holds_from_some_timer_on() -> None:
    made = profile(more=SEARCH + 'disconnect_unexpected = ["rate<25%"]\n')
    holds = [predict(made, round(timer * S)).cuts_hold for timer in (0.5, 1, 2, 4, 8, 16)]
    assert holds == sorted(holds)
    assert (holds[0], holds[-1]) == (False, True)
    assert predict(made, S // 2).capacity == 0
    assert predict(made, S // 2).live_at_limit > 0


def test_a_count_of_cuts_bounds_how_many_may_be_live() -> None:
    made = profile(more=SEARCH + 'disconnect_unexpected = ["count<30"]\n')
    found = predict(made, 8 * S)
    judged_s = 5.0
    assert found.capacity == found.live_by_cuts == pytest.approx(30 / (found.cuts_per_live_s * judged_s))


def test_planned_ends_count_where_the_slo_says_so() -> None:
    bound = '= ["rate<1%"]\n'
    made = [
        profile(QUIET + 'session = "exp(20s)"\n', SEARCH + metric + bound)
        for metric in ("disconnect", "disconnect_unexpected")
    ]
    assert [predict(each, 60 * S).cuts_hold for each in made] == [False, True]


def test_who_leaves_is_replaced_and_takes_no_slot() -> None:
    found = predict(profile(QUIET + 'session = "exp(10s)"\n'), 60 * S)
    assert found.ghosts_per_live == 0
    assert found.handshakes_per_live_s == pytest.approx(0.1)


def test_silent_tunnels_are_all_cut_and_do_not_come_back() -> None:
    idle = '[[cohort]]\nname = "idle"\ntraffic = "idle"\n'
    search = profile(idle, SEARCH)
    assert predict(search, 5 * S).live_share == 0, "a level is judged later than 5 s after its opening"
    assert predict(profile(idle), 3600 * S).live_share == 1, "an hour is longer than the run"
    assert predict(search, 5 * S).hold_s == 0, "nobody vanishes"


def test_who_stays_away_once_cut_is_missing_the_longer_one_waits() -> None:
    made = profile(QUIET.replace("when-due", "never"), SEARCH)
    found = predict(made, 4 * S)
    cuts = math.exp(-2) / (2 * (1 - math.exp(-2)))
    watched_s = 4 + 10 + 2.5
    assert found.live_share == pytest.approx(math.exp(-cuts * watched_s), rel=1e-3)
    assert found.handshakes_per_live_s == 0


def test_lost_pings_make_gaps_of_several_intervals() -> None:
    pinged = '[[cohort]]\nname = "p"\ntraffic = "pinged"\nevery = "20s"\nping_loss = "10%"\n'
    cohort = profile(pinged).cohorts[0]
    gaps = gaps_of(cohort)
    assert sum(weight for weight, _ in gaps) == pytest.approx(1)
    assert sum(weight * gap.scale_ns for weight, gap in gaps) / S == pytest.approx(20 / 0.9, rel=1e-5)
    found = predict(profile(pinged), 65 * S)
    live_s = 20 + 0.1 * 20 + 0.01 * 20 + 0.001 * 5
    assert found.cuts_per_live_s == pytest.approx(0.001 / live_s, rel=1e-3)
    assert predict(profile(pinged.replace("10%", "0%")), 65 * S).cuts_per_live_s == 0


def test_a_mix_of_cohorts_shares_the_slots_by_who_is_live() -> None:
    mix = QUIET + "share = 3\n" + '[[cohort]]\nname = "chatty"\ntraffic = "chatty"\nvanish = "1%/s"\n'
    found = predict(profile(mix), 2 * S)
    quiet, chatty = found.cohorts
    assert (quiet.offered_share, chatty.offered_share) == (0.75, 0.25)
    assert chatty.live_share == 1
    live = 0.75 * quiet.live_share + 0.25
    assert found.live_share == pytest.approx(live)
    assert found.ghosts_per_live == pytest.approx(0.25 / live * chatty.ghosts)
    assert found.hold_s == pytest.approx(chatty.hold_s)


def test_a_cohort_keeps_the_timer_it_asks_for() -> None:
    made = profile(QUIET + 'tunnel_timeout = "1s"\n')
    assert predict(made, 60 * S).live_share == pytest.approx(-math.expm1(-0.5))


@pytest.mark.parametrize(
    ("cohorts", "more", "reason"),
    [
        (QUIET, "", ""),
        (QUIET, '[target]\nvia = "direct"', "wsload does not manage its HAProxy"),
        ('[[cohort]]\nname = "g"\ntraffic = "ghost"', "", "it has ghost tunnels"),
        ('[[cohort]]\nname = "i"\ntraffic = "idle"', '[backend]\nreply = "push"', "its backend pushes"),
        (QUIET, '[backend]\nidle_close = "5s"', "its backend ends tunnels itself"),
    ],
)
def test_what_has_no_closed_form_is_said(cohorts: str, more: str, reason: str) -> None:
    assert not_modelled(profile(cohorts, more)).startswith(reason)
    assert bool(not_modelled(profile(cohorts, more))) == bool(reason)
