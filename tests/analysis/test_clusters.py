"""Fixed intervals: found under noise, not found where there are none, and explained by the right timer."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from wsload.analysis.clusters import Cluster, Explanation, explain, find_clusters, sentence
from wsload.record.known_timers import KNOWN_TIMERS

Floats = NDArray[np.float64]
Made = Callable[[np.random.Generator, int], Floats]

HOUR = {"client": 30_000, "server": 30_000, "tunnel": 3_600_000}
NO_TUNNEL = {"client": 30_000, "server": 60_000}


def cluster_at(center_s: float, spread_s: float = 0.1, count: int = 1204) -> Cluster:
    return Cluster(center_s, spread_s, count, 0.5, center_s - spread_s, center_s + spread_s)


def seeded(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_timer_is_found_in_an_exponential_background() -> None:
    rng = seeded()
    noise, spike = rng.exponential(40, 2000), 30 + rng.uniform(-0.05, 0.05, 300)
    (found,) = find_clusters(rng.permutation(np.concatenate([noise, spike])))
    assert found.center_s == pytest.approx(30, abs=0.02)
    assert found.spread_s == pytest.approx(0.05, abs=0.02)
    background = np.count_nonzero((noise >= found.low_s) & (noise <= found.high_s))
    assert found.count == 300 + background
    assert found.share == found.count / 2300


def test_two_timers_are_told_apart_whatever_their_sizes() -> None:
    rng = seeded()
    for large, small in ((1000, 1000), (10_000, 300)):
        values = np.concatenate(
            [rng.normal(30, 0.1, large), rng.normal(33, 0.1, small), rng.exponential(40, 500)]
        )
        assert [round(found.center_s, 1) for found in find_clusters(values)] == [30.0, 33.0]


@pytest.mark.parametrize("jitter", [0.001, 0.005, 0.01])
@pytest.mark.parametrize(("count", "of"), [(10, 100), (30, 100), (50, 1000)])
def test_jitter_up_to_one_per_cent_hides_no_timer(jitter: float, count: int, of: int) -> None:
    for seed in range(20):
        rng = seeded(seed)
        timer = 60 * (1 + rng.uniform(-jitter, jitter, count))
        found = find_clusters(np.concatenate([rng.exponential(40, of - count), timer]))
        assert [round(cluster.center_s) for cluster in found] == [60], seed


@pytest.mark.parametrize(
    "make",
    [
        lambda rng, count: rng.uniform(0, 100, count),
        lambda rng, count: rng.uniform(30, 40, count),
        lambda rng, count: rng.exponential(30, count),
        lambda rng, count: rng.exponential(0.03, count),
        lambda rng, count: rng.lognormal(2, 1, count),
        lambda rng, count: np.concatenate([rng.uniform(0, 100, count // 2), rng.uniform(30, 40, count // 2)]),
    ],
    ids=["uniform", "killed at once after a ramp", "exponential", "chatty", "lognormal", "plateau"],
)
@pytest.mark.parametrize("count", [5, 10, 100, 3000])
def test_no_timer_is_seen_where_there_is_none(make: Made, count: int) -> None:
    seeds = 100
    false = sum(bool(find_clusters(make(seeded(seed), count))) for seed in range(seeds))
    assert false <= 0.05 * seeds


def test_the_late_tail_of_a_timer_is_part_of_it() -> None:
    (found,) = find_clusters(2 + seeded().exponential(0.2, 9000))
    assert found.low_s == pytest.approx(2, abs=0.01)
    assert found.share > 0.85
    assert explain(found, {"tunnel": 2000}, "idle").settings == ("`timeout tunnel 2s`",)


@pytest.mark.parametrize("count", [0, 1, 4])
def test_a_handful_of_values_proves_nothing(count: int) -> None:
    assert find_clusters(np.full(count, 30.0)) == []


def test_values_all_equal_are_one_interval() -> None:
    assert find_clusters([30.0] * 5) == [Cluster(30.0, 0.0, 5, 1.0, 30.0, 30.0)]
    assert find_clusters(np.zeros(100)) == [], "silent for no time at all is no interval"


def test_a_timer_of_milliseconds_by_mistake_is_found() -> None:
    (found,) = find_clusters(0.005 + seeded().exponential(0.001, 500))
    assert explain(found, {"tunnel": 5}, "idle").settings == ("`timeout tunnel 5ms`",)


def test_less_than_two_per_cent_is_too_little() -> None:
    rng = seeded()
    noise = rng.uniform(0, 100, 10_000)
    assert find_clusters(np.concatenate([noise, np.full(10, 30.0)])) == []


def test_values_that_are_no_numbers_are_left_out() -> None:
    assert find_clusters([np.nan, *[30.0] * 5, np.inf])[0].share == 1.0


@pytest.mark.parametrize(
    ("timers_ms", "center_s", "settings", "because"),
    [
        (HOUR, 3600.2, ("`timeout tunnel 1h`",), ""),
        (NO_TUNNEL, 30.0, ("`timeout client 30s`",), "because no `timeout tunnel` is set"),
        (NO_TUNNEL | {"tunnel": 0}, 30.0, ("`timeout client 30s`",), "because no `timeout tunnel` is set"),
        (
            {"client": 90_000, "server": 90_000},
            90.1,
            ("`timeout client 90s` and `timeout server 90s`",),
            "because no `timeout tunnel` is set",
        ),
        (HOUR | {"backend-idle-close": 45_000}, 45.0, ("the backend's idle close 45s",), ""),
        (
            {"tunnel": 45_000, "backend-idle-close": 45_000},
            45.0,
            ("`timeout tunnel 45s`", "the backend's idle close 45s"),
            "",
        ),
        (
            HOUR | {"server-fin": 1500},
            1.5,
            ("`timeout server-fin 1500ms`",),
            "where one side had closed its half",
        ),
    ],
)
def test_a_cluster_is_explained_by_the_timer_in_force(
    timers_ms: dict[str, int], center_s: float, settings: tuple[str, ...], because: str
) -> None:
    assert explain(cluster_at(center_s), timers_ms, "idle") == Explanation("idle", settings, because)


def test_timers_that_tunnel_overrides_explain_nothing() -> None:
    found = explain(cluster_at(30.0), HOUR, "idle")
    assert found.settings == ()
    assert "Google" in found.devices[0].name


def test_without_tunnel_the_longer_of_client_and_server_never_shows() -> None:
    assert explain(cluster_at(60.0), NO_TUNNEL, "idle").settings == ()


def test_nothing_ends_well_before_its_timer() -> None:
    assert explain(cluster_at(29.0), NO_TUNNEL, "idle") == Explanation("idle")


def test_only_where_no_setting_fits_are_devices_named() -> None:
    named = {timer.name for timer in explain(cluster_at(60.0), HOUR, "idle").devices}
    assert named == {"AWS ALB", "AWS Classic ELB", "nginx"}
    assert explain(cluster_at(60.0), {"tunnel": 60_000}, "idle").devices == ()


def test_known_timers_ascend_and_cite_their_source() -> None:
    lengths = [timer.idle_ns for timer in KNOWN_TIMERS]
    assert lengths == sorted(lengths)
    assert all(timer.source and timer.wire in {"", "fin", "rst", "silence"} for timer in KNOWN_TIMERS)


@pytest.mark.parametrize(
    ("cluster", "timers_ms", "what", "text"),
    [
        (
            cluster_at(30.02),
            NO_TUNNEL,
            "idle",
            "1,204 idle tunnels ended 30.0 s (±0.1) after their last byte: `timeout client 30s`, "
            "because no `timeout tunnel` is set.",
        ),
        (
            cluster_at(60.0, 0.04),
            HOUR,
            "idle",
            "1,204 idle tunnels ended 60.00 s (±0.04) after their last byte; no timer in force explains "
            "that; AWS ALB, AWS Classic ELB and nginx end connections at 60 s (guess).",
        ),
        (
            cluster_at(100.0, 3),
            HOUR,
            "idle",
            "1,204 idle tunnels ended 100.0 s (±3) after their last byte; no timer in force explains that; "
            "Cloudflare ends connections at 100 s (guess).",
        ),
        (
            cluster_at(7.0, 0.0),
            HOUR,
            "idle",
            "1,204 idle tunnels ended 7.000 s (±0.001) after their last byte; "
            "neither a timer in force nor a known device's explains that.",
        ),
        (
            cluster_at(3600.0, 0.5),
            HOUR | {"backend-ends-after": 3_600_000},
            "age",
            "1,204 idle tunnels ended 3,600.0 s (±0.5) after they opened: the backend's ends_after 1h.",
        ),
    ],
)
def test_the_sentence_says_how_many_how_long_and_which_timer(
    cluster: Cluster, timers_ms: dict[str, int], what: str, text: str
) -> None:
    assert what in ("idle", "age")
    explanation = explain(cluster, timers_ms, "idle" if what == "idle" else "age")
    assert sentence("idle", cluster, explanation) == text
