"""Durations, sizes, rates, counts and shares: text to number and back.

Inside wsload a duration is integer nanoseconds, a size integer bytes, a rate a float per second,
a count an integer and a share a float between 0 and 1. Text always carries its unit.
"""

import re
from fractions import Fraction

NS_PER_US = 1_000
NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000

_DURATIONS_NS = {
    "ns": 1,
    "us": NS_PER_US,
    "µs": NS_PER_US,
    "ms": NS_PER_MS,
    "s": NS_PER_S,
    "m": 60 * NS_PER_S,
    "h": 3600 * NS_PER_S,
    "d": 86400 * NS_PER_S,
}
_HAPROXY_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000))
"""In ms, the largest first."""
_SIZES = {
    "B": 1,
    "kB": 1000,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
}
_RATES = {"s": 1, "m": 60, "min": 60, "h": 3600}
_COUNTS = {"": 1, "k": 1000, "M": 1_000_000}

_NUMBER = r"(\d+(?:\.\d+)?)"
_DURATION = re.compile(rf"{_NUMBER}\s*([a-zµ]*)")
_SIZE = re.compile(rf"{_NUMBER}\s*([A-Za-z]*)")
_RATE = re.compile(rf"{_NUMBER}\s*([kM]?)\s*(?:/\s*([a-z]+))?")
_COUNT = re.compile(rf"{_NUMBER}\s*([kM]?)")
_SHARE_RATE = re.compile(rf"{_NUMBER}\s*(%?)\s*(?:/\s*([a-z]+))?")
_SHARE = re.compile(rf"{_NUMBER}\s*(%?)")


class UnitError(ValueError):
    """Text that is no such quantity. ``problem`` says why, ``fix`` what to write instead."""

    def __init__(self, problem: str, fix: str) -> None:
        self.problem, self.fix = problem, fix
        super().__init__(f"{problem}; {fix}")


def parse_duration_ns(text: str) -> int:
    """``"250ms"`` -> 250_000_000. Units: ns us ms s m h d. Raises :class:`UnitError`."""
    match = _DURATION.fullmatch(text.strip())
    if not match:
        raise UnitError(f'"{text}" is no duration', 'write a number and a unit, such as "10s" or "250ms"')
    number, unit = match.groups()
    if not unit and float(number) == 0:
        return 0
    if not unit:
        raise UnitError(f'"{text}" has no unit', f'write "{number}s", or ms, m, h')
    if unit not in _DURATIONS_NS:
        raise UnitError(f'"{text}" has the unknown unit "{unit}"', "use ms, s, m, h or d")
    return int(Fraction(number) * _DURATIONS_NS[unit])


def parse_size_bytes(text: str) -> int:
    """``"4KiB"`` -> 4096. Units: B kB MB GB KiB MiB GiB. Raises :class:`UnitError`."""
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise UnitError(f'"{text}" is no size', 'write a number and a unit, such as "64B" or "4KiB"')
    number, unit = match.groups()
    if not unit:
        raise UnitError(f'"{text}" has no unit', f'write "{number}B", or KiB, MiB')
    if unit not in _SIZES:
        raise UnitError(f'"{text}" has the unknown unit "{unit}"', "use B, KiB, MiB, kB or MB")
    return int(Fraction(number) * _SIZES[unit])


def parse_rate_per_s(text: str) -> float:
    """``"300/m"`` -> 5.0 per second. Raises :class:`UnitError`."""
    match = _RATE.fullmatch(text.strip())
    if not match:
        raise UnitError(f'"{text}" is no rate', 'write a number per unit of time, such as "5/s" or "300/m"')
    number, thousands, per = match.groups()
    if per is None:
        raise UnitError(f'"{text}" has no unit', f'write "{text.strip()}/s"')
    if per not in _RATES:
        raise UnitError(f'"{text}" is per unknown unit "{per}"', 'use "/s", "/m" or "/h"')
    return float(Fraction(number) * _COUNTS[thousands] / _RATES[per])


def parse_count(text: str) -> int:
    """``"5k"`` -> 5000. Raises :class:`UnitError`."""
    match = _COUNT.fullmatch(text.strip())
    if not match:
        raise UnitError(f'"{text}" is no count', 'write a whole number, such as 5000 or "5k"')
    number, thousands = match.groups()
    value = Fraction(number) * _COUNTS[thousands]
    if value.denominator != 1:
        raise UnitError(f'"{text}" is not a whole number', 'write a whole number, such as 5000 or "5k"')
    return int(value)


def parse_share(text: str) -> float:
    """``"0.1%"`` -> 0.001, ``"0.5"`` -> 0.5. Raises :class:`UnitError`."""
    match = _SHARE.fullmatch(text.strip())
    if not match:
        raise UnitError(f'"{text}" is no share', 'write a percentage, such as "0.1%"')
    number, percent = match.groups()
    return float(Fraction(number) / (100 if percent else 1))


def _trimmed(value: float) -> str:
    return f"{value:.4g}" if value < 1000 else f"{value:.0f}"


def parse_share_rate_per_s(text: str) -> float:
    """``"2%/min"`` -> 0.02 / 60: the part of a population to which it happens per second; ``"0"`` -> 0.

    Raises :class:`UnitError`.
    """
    match = _SHARE_RATE.fullmatch(text.strip())
    if not match:
        raise UnitError(f'"{text}" is no share per time', 'write a percentage per unit of time: "2%/min"')
    number, percent, per = match.groups()
    if per is None and float(number) == 0:
        return 0.0
    if per is None:
        raise UnitError(f'"{text}" has no unit of time', f'write "{text.strip()}/min"')
    if per not in _RATES:
        raise UnitError(f'"{text}" is per unknown unit "{per}"', 'use "/s", "/min" or "/h"')
    return float(Fraction(number) / (100 if percent else 1) / _RATES[per])


def format_duration(ns: float) -> str:
    """For people: 250_000_000 -> ``"250ms"``, 90e9 -> ``"1m30s"``. Four significant digits below a minute."""
    if ns < 0:
        return "-" + format_duration(-ns)
    for unit, limit in (("ns", NS_PER_US), ("us", NS_PER_MS), ("ms", NS_PER_S), ("s", 60 * NS_PER_S)):
        if ns < limit:
            return "0s" if ns == 0 else f"{_trimmed(ns / _DURATIONS_NS[unit])}{unit}"
    seconds = round(ns / NS_PER_S)
    days, hours, minutes = seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60
    parts = [(days, "d"), (hours, "h"), (minutes, "m"), (seconds % 60, "s")]
    return "".join(f"{number}{unit}" for number, unit in parts if number)


def haproxy_time(ns: int) -> str:
    """A duration as HAProxy writes it, in the largest unit that is exact: 90e9 -> ``"90s"``.

    Rounded up to whole milliseconds, HAProxy's resolution.
    """
    ms = -(-ns // NS_PER_MS)
    for unit, unit_ms in _HAPROXY_UNITS:
        if ms and ms % unit_ms == 0:
            return f"{ms // unit_ms}{unit}"
    return f"{ms}ms"


def format_size(size_bytes: float) -> str:
    """For people: 4096 -> ``"4KiB"``."""
    for unit in ("B", "KiB", "MiB"):
        if size_bytes < 1024:
            return f"{_trimmed(size_bytes)}{unit}"
        size_bytes /= 1024
    return f"{_trimmed(size_bytes)}GiB"


def format_count(count: float) -> str:
    """For people, with thousands separated: 98000 -> ``"98,000"``."""
    return f"{count:,.0f}"


def format_many(count: float, noun: str) -> str:
    """For people: ``1 tunnel``, ``2,000 tunnels``, ``3 processes``."""
    plural = noun if count == 1 else f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{format_count(count)} {plural}"


def format_share(share: float) -> str:
    """For people: 0.001 -> ``"0.1%"``."""
    return f"{_trimmed(share * 100)}%"
