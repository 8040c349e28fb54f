"""Quantities: text to number and back."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsload import units
from wsload.units import NS_PER_MS, NS_PER_S, UnitError, format_many, haproxy_time

UNIT_NS = {
    "ns": 1,
    "us": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
    "d": 86400 * 10**9,
}


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("250ms", 250_000_000),
        ("10s", 10_000_000_000),
        ("5m", 300_000_000_000),
        ("1h", 3_600_000_000_000),
        ("1.5s", 1_500_000_000),
        ("0.1ms", 100_000),
        ("3 µs", 3_000),
        ("0", 0),
        (" 24d ", 2_073_600_000_000_000),
    ],
)
def test_a_duration_becomes_nanoseconds(text: str, ns: int) -> None:
    assert units.parse_duration_ns(text) == ns


@pytest.mark.parametrize(
    ("parse", "text", "fix"),
    [
        (units.parse_duration_ns, "5", 'write "5s", or ms, m, h'),
        (units.parse_size_bytes, "64", 'write "64B", or KiB, MiB'),
        (units.parse_rate_per_s, "5", 'write "5/s"'),
        (units.parse_rate_per_s, "5k", 'write "5k/s"'),
    ],
)
def test_a_missing_unit_is_refused_with_the_unit_to_write(parse, text: str, fix: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UnitError) as caught:
        parse(text)
    assert caught.value.problem == f'"{text}" has no unit'
    assert caught.value.fix == fix


@pytest.mark.parametrize("text", ["", "s", "5 parsecs", "-5s", "5s5s", "1e3s", "٣x", "5s\n6s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UnitError):
        units.parse_duration_ns(text)


@pytest.mark.parametrize("text", ["1.5", "x", "1.0005k", "-3", "5 M M"])
def test_what_is_no_whole_count_is_refused(text: str) -> None:
    with pytest.raises(UnitError):
        units.parse_count(text)


@given(st.integers(0, 10**9), st.sampled_from(sorted(UNIT_NS)))
def test_a_duration_in_any_unit_is_exact(number: int, unit: str) -> None:
    assert units.parse_duration_ns(f"{number}{unit}") == number * UNIT_NS[unit]


@given(st.integers(1, 9999), st.sampled_from(["ns", "us", "ms", "s"]))
def test_a_short_duration_of_four_digits_survives_format_and_parse(number: int, unit: str) -> None:
    ns = number * UNIT_NS[unit]
    if ns < 60 * 10**9:
        assert units.parse_duration_ns(units.format_duration(ns)) == ns


@given(st.integers(0, 10**7))
def test_a_long_duration_is_told_to_the_second(seconds: int) -> None:
    told = units.format_duration(seconds * 10**9)
    parts = re.findall(r"\d+[dhms]", told)
    assert "".join(parts) == told
    assert sum(units.parse_duration_ns(part) for part in parts) == seconds * 10**9


@given(st.integers(0, 1023), st.sampled_from(["B", "KiB", "MiB", "GiB"]))
def test_a_size_survives_format_and_parse(number: int, unit: str) -> None:
    size_bytes = units.parse_size_bytes(f"{number}{unit}")
    assert units.parse_size_bytes(units.format_size(size_bytes)) == size_bytes


@given(st.integers(0, 10**12))
def test_a_count_survives_format_and_parse(number: int) -> None:
    assert units.parse_count(units.format_count(number).replace(",", "")) == number


@given(st.integers(0, 10**6))
def test_a_rate_per_minute_is_a_sixtieth_of_one_per_second(number: int) -> None:
    assert units.parse_rate_per_s(f"{number}/m") * 60 == pytest.approx(units.parse_rate_per_s(f"{number}/s"))


@given(st.integers(0, 1000))
def test_a_share_in_tenths_of_a_percent_survives_format_and_parse(tenths: int) -> None:
    share = tenths / 1000
    assert units.parse_share(units.format_share(share)) == pytest.approx(share)


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (86400 * NS_PER_S, "1d"),
        (3600 * NS_PER_S, "1h"),
        (60 * NS_PER_S, "1m"),
        (90 * NS_PER_S, "90s"),
        (1500 * NS_PER_MS, "1500ms"),
        (1, "1ms"),
        (0, "0ms"),
    ],
)
def test_haproxy_is_told_a_duration_in_its_largest_exact_unit(ns: int, text: str) -> None:
    assert haproxy_time(ns) == text


def test_what_is_counted_is_plural_but_for_one() -> None:
    assert format_many(1, "tunnel") == "1 tunnel"
    assert format_many(2000, "tunnel") == "2,000 tunnels"
    assert format_many(0, "process") == "0 processes"
