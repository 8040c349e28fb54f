"""What one check gives, and what checks leave for those after them."""

import ssl
from dataclasses import dataclass, field
from enum import StrEnum

from wsload.clock import Clock
from wsload.probe.stream import Address
from wsload.probe.target import Target
from wsload.probe.tunnel import Tunnel
from wsload.units import NS_PER_MS

Fact = str | int | float | bool | dict[str, str] | list[str] | None


class Status(StrEnum):
    """How a check came out."""

    PASSED = "passed"
    FAILED = "failed"
    INFO = "info"
    """Worth knowing, and no failure either way."""
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Check:
    """One line of the report. ``hint`` is what a failure usually means; ``facts`` go into the JSON."""

    name: str
    status: Status
    says: str
    hint: str = ""
    facts: dict[str, Fact] = field(default_factory=dict)


@dataclass
class Probed:
    """What earlier checks leave for later ones."""

    target: Target
    clock: Clock
    addresses: list[Address] = field(default_factory=list)
    address: Address | None = None
    """The first one that took a connection."""
    tunnel: Tunnel | None = None
    rtt_ns: int | None = None
    """Of the ping; None where none came back."""


def error_words(error: OSError) -> str:
    """An error of a connection in words."""
    if isinstance(error, ssl.SSLError):
        return error.reason or str(error)
    return error.strerror or str(error) or type(error).__name__


def to_ms(ns: int) -> float:
    """For the facts."""
    return round(ns / NS_PER_MS, 3)
