import pytest

from wsload.probe.idle_plan import Fate
from wsload.probe.likeness import as_written, likenesses
from wsload.units import NS_PER_MS, NS_PER_S


def names(seconds: float, fate: Fate, **known: bool) -> str:
    found = likenesses(round(seconds * NS_PER_S), 5 * NS_PER_MS, fate, **known)
    return " | ".join(like.name for like in found)


@pytest.mark.parametrize(
    ("seconds", "fate", "expected"),
    [
        (1.503, Fate.FIN, '"timeout tunnel 1500ms"'),
        (30.004, Fate.FIN, "timeout client 30s, timeout server 30s"),
        (50.01, Fate.FIN, "Debian"),
        (60.02, Fate.FIN, "nginx"),
        (60.02, Fate.FIN, "AWS ALB"),
        (100.0, Fate.RST, "Cloudflare"),
        (240.0, Fate.UNANSWERED, "Azure"),
        (352.0, Fate.RST, "AWS NLB"),
        (3600.01, Fate.FIN, '"timeout tunnel 1h"'),
    ],
)
def test_well_known_timers_are_recognised(seconds: float, fate: Fate, expected: str) -> None:
    assert expected in names(seconds, fate)


def test_a_close_frame_is_the_servers_own_and_never_haproxys() -> None:
    assert "server's own" in names(30.0, Fate.CLOSE)
    assert "|" not in names(60.0, Fate.CLOSE)


def test_what_drops_connections_silently_is_not_taken_for_what_sends_fin() -> None:
    assert "Azure" not in names(240.0, Fate.FIN)
    assert "nginx" not in names(60.0, Fate.UNANSWERED)


def test_a_limit_on_age_is_compared_with_limits_on_age_only() -> None:
    assert "Google" in names(30.0, Fate.FIN, by_age=True)
    assert "HAProxy" not in names(30.0, Fate.FIN, by_age=True)
    assert "Google" not in names(30.0, Fate.FIN)


def test_haproxy_counts_both_directions_unless_streams_are_independent() -> None:
    assert "independent-streams" in names(20.0, Fate.FIN, client_alone_counts=False)
    assert "independent-streams" not in names(20.0, Fate.FIN, client_alone_counts=True)


def test_an_odd_interval_looks_like_nothing() -> None:
    assert names(43.217, Fate.RST) == ""


@pytest.mark.parametrize(
    ("ms", "written_ms"),
    [
        (1504, 1500),
        (29_995, 30_000),
        (30_030, 30_000),
        (7_003, 7_000),
        (612, 600),
        (3_600_020, 3_600_000),
        (90, None),
    ],
)
def test_the_roundest_duration_within_the_tolerance_is_meant(ms: int, written_ms: int | None) -> None:
    written_ns = as_written(ms * NS_PER_MS, NS_PER_MS)
    assert written_ns == (None if written_ms is None else written_ms * NS_PER_MS)
