"""The keys of a search for capacity: what each level needs, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsload.errors import ProfileError
from wsload.plan.knee import KneeFinder, Outcome
from wsload.profile.load import parse_profile
from wsload.profile.model import Capacity, Profile
from wsload.profile.plateaus import (
    ghost_hold_ns,
    idle_timer,
    judge_ns,
    longest_hold_ns,
    most_levels,
    plateau_ns,
    plateau_words,
    recovery_ns,
    settle_ns,
)

S = 1_000_000_000

SEARCH = """
[haproxy.timeouts]
tunnel = "5s"
[load]
ramp = "1s"
handshake_timeout = "2s"
[[cohort]]
name = "quiet"
traffic = "quiet"
gaps = "exp(2s)"
reconnect = "when-due"
vanish = "3%/s"
[capacity]
from = 500
to = 1150
resolution = 50
[slo]
handshake_failed = ["rate<0.1%"]
"""


def search(*overrides: str, text: str = SEARCH) -> Profile:
    return parse_profile(text, "p.toml", overrides)


def refusal(*overrides: str, text: str = SEARCH) -> str:
    with pytest.raises(ProfileError) as caught:
        parse_profile(text, "p.toml", overrides)
    return str(caught.value)


def test_the_idle_timer_is_that_of_tunnels_else_the_smaller_of_both_sides() -> None:
    assert idle_timer({"tunnel": 1_000, "client": 500}) == 1_000
    assert idle_timer({"client": 30_000, "server": 20_000}) == 20_000
    assert idle_timer({"tunnel": 0, "client": 0, "server": 20_000}) == 20_000
    assert idle_timer({"connect": 5_000}) == 0


def test_a_level_is_held_until_timer_ghosts_and_waiting_clients_are_through_and_then_judged() -> None:
    profile = search()
    assert (settle_ns(profile), judge_ns(profile), plateau_ns(profile)) == (7 * S, 5 * S, 12 * S)
    assert plateau_words(profile) == (
        "held 12s: 5s until the idle timer has fired for all, and ghosts leave as fast as they come, 2s for "
        "who waits for a slot; then 5s are judged, and as much again where they are not steady"
    )


@pytest.mark.parametrize("timer_s", [1, 5, 60])
def test_what_is_judged_is_as_long_whatever_the_timer(timer_s: int) -> None:
    profile = search(f"haproxy.timeouts.tunnel={timer_s}s")
    assert judge_ns(profile) == 5 * S
    assert plateau_ns(profile) == (timer_s + 2 + 5) * S


@pytest.mark.parametrize(
    ("overrides", "settled_s"),
    [
        (["cohort.quiet.gaps=exp(9s)"], 5 + 9),  # who is cut comes back nine seconds later on average
        (["cohort.quiet.gaps=fixed(4s)"], 5 + 2),  # nobody is cut
        (['cohort.quiet.gaps=["1s", "4s", "40s"]'], 5 + 15),
        (["cohort.quiet.gaps=exp(9s)", "cohort.quiet.reconnect=never"], 5 + 2),
        (["cohort.quiet.tunnel_timeout=8s"], 8 + 2),
        (["target.via=direct"], 2),
        (["haproxy.timeouts.tunnel=none"], 30 + 2),
        ([f"haproxy.timeouts.{name}=none" for name in ("tunnel", "client", "server")], 2),
    ],
)
def test_settling_takes_as_long_as_the_slowest_of_what_has_to_happen(
    overrides: list[str], settled_s: int
) -> None:
    assert settle_ns(search(*overrides)) == settled_s * S


def test_a_plateau_longer_than_needed_is_judged_at_its_end() -> None:
    profile = search("capacity.plateau=30s", "capacity.judge=10s")
    assert (plateau_ns(profile), judge_ns(profile)) == (30 * S, 10 * S)
    assert "13s more as the profile says; then 10s are judged" in plateau_words(profile)


def test_only_vanished_clients_make_a_lower_level_wait() -> None:
    assert recovery_ns(search()) == 6 * S
    assert recovery_ns(search("cohort.quiet.vanish=0")) == 1 * S
    assert ghost_hold_ns(search("target.via=direct")) == 0


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "capacity.plateau=5s",
            "--set: capacity.plateau: 5s is too short: it takes 5s until the idle timer has fired for all, "
            "and ghosts leave as fast as they come, 2s for who waits for a slot, and 5s to judge; "
            'write plateau = "12s" or more, or "auto"',
        ),
        ("capacity.plateau=0s", '--set: capacity.plateau: "0s" is zero'),
        (
            "capacity.judge=3s",
            "--set: capacity.judge: 3s is less than 4 intervals, too few to tell whether a level is steady; "
            'write judge = "4s", or a shorter load.interval',
        ),
        ("capacity.from=2000", "--set: capacity.from: 2000 is above to = 1150; write 1150 or less"),
        ("capacity.to=300", "--set: capacity.to: 300 is below from = 500; write 500 or more"),
        (
            "capacity.resolution=800",
            "--set: capacity.resolution: 800 is more than the way from 500 to 1150; write 650 or less",
        ),
        (
            "capacity.step=800",
            "--set: capacity.step: 800 is more than the way from 500 to 1150; write 650 or less",
        ),
        ("load.hold=30s", "--set: load.hold: is what [capacity] works out; leave it out"),
        ("load.tunnels=30", "--set: load.tunnels: is what [capacity] works out; leave it out"),
        ("capacity.from=x", "--set: capacity.from: "),
        ("capacity.knee=5", "--set: capacity.knee: unknown key"),
        ("cohort.quiet.vanish=3%", '--set: cohort[0].vanish: "3%" has no unit of time; write "3%/min"'),
        ("cohort.quiet.traffic=idle", "p.toml: cohort[0].reconnect: only quiet clients come back"),
        ("cohort.quiet.traffic=ghost", "p.toml: cohort[0].reconnect: only quiet clients come back"),
        ("haproxy.memory=1MiB", '--set: haproxy.memory: "1MiB" is no memory that HAProxy can run in'),
        ("haproxy.source_ports=9-8", "--set: haproxy.source_ports: "),
        ("haproxy.nofile=3", "--set: haproxy.nofile: 3 is too few"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_to_write(override: str, message: str) -> None:
    assert refusal(override).startswith(message)


def test_a_search_without_a_bound_is_refused() -> None:
    text = SEARCH.partition("[slo]")[0]
    assert refusal(text=text).startswith("p.toml: capacity: a search needs an SLO that a level can break")


def test_a_plateau_in_the_file_that_a_longer_timer_outgrows_is_refused_by_its_name() -> None:
    text = SEARCH.replace("resolution = 50", 'resolution = 50\nplateau = "12s"')
    assert plateau_ns(search(text=text)) == 12 * S
    message = refusal("haproxy.timeouts.tunnel=1m", text=text)
    assert message.startswith("p.toml: capacity.plateau: 12s is too short: it takes 1m until the idle timer")
    assert message.endswith('write plateau = "67s" or more, or "auto"')


def test_a_step_on_the_command_line_replaces_the_files_resolution_and_the_other_way_round() -> None:
    assert search("capacity.step=100").capacity == Capacity(least=500, most=1150, step=100, resolution=13)
    stepped = SEARCH.replace("resolution = 50", "step = 100")
    assert search("capacity.resolution=20", text=stepped).capacity == Capacity(
        least=500, most=1150, resolution=20
    )
    both = SEARCH.replace("resolution = 50", "step = 100\nresolution = 50")
    assert 'capacity.resolution: goes with step = "bisect"' in refusal(text=both)


def test_one_level_needs_neither_step_nor_resolution() -> None:
    capacity = search("capacity.to=500").capacity
    assert capacity is not None
    assert most_levels(capacity) == 1


@given(
    st.integers(1, 5_000), st.integers(0, 5_000), st.integers(1, 5_000), st.booleans(), st.integers(0, 10_000)
)
def test_no_search_tries_more_levels_than_it_says(
    least: int, span: int, stride: int, bisects: bool, holds: int
) -> None:
    capacity = Capacity(
        least=least, most=least + span, step=None if bisects else stride, resolution=stride if bisects else 1
    )
    finder = KneeFinder(capacity)
    level: int | None = finder.first
    tried = 0
    while level is not None:
        tried += 1
        level = finder.next(level, Outcome.PASSED if level <= holds else Outcome.FAILED)
    assert tried <= most_levels(capacity)


def test_the_longest_search_holds_every_level_and_judges_it_twice() -> None:
    profile = search("capacity.to=700", "capacity.resolution=200")
    assert profile.load.hold_ns == longest_hold_ns(profile, profile.load)
    assert profile.load.hold_ns == 2 * (12 + 5 + 2) * S + (1 + 6) * S
    assert "more than ten years" in refusal(
        "haproxy.timeouts.tunnel=24d", "capacity.step=1", "capacity.to=50k"
    )


def test_with_a_descriptor_limit_haproxy_works_its_maxconn_out() -> None:
    assert search("haproxy.nofile=1000").haproxy.maxconn == 0
    assert search("haproxy.nofile=1000", "haproxy.maxconn=300").haproxy.maxconn == 300
    assert search().haproxy.maxconn == 1200
