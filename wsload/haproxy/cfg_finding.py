"""A finding in a ``haproxy.cfg``: what it is, and where its remedy is to be written. Pure."""

from collections.abc import Iterable, Iterator
from enum import StrEnum

import msgspec

from wsload.haproxy.cfg_reader import Config
from wsload.haproxy.cfg_sections import Section, SectionKind

_NAMES_SHOWN = 4


class Severity(StrEnum):
    """HARMFUL breaks tunnels, or HAProxy rejects it; RISKY does so under load or in time."""

    HARMFUL = "harmful"
    RISKY = "risky"
    HINT = "hint"


class Fix(msgspec.Struct, frozen=True, kw_only=True):
    """Lines to write: instead of line ``at``, or below it (a section's first). None of them: delete it."""

    at: int
    lines: tuple[str, ...]
    replaces: bool
    place: str
    """The section they go to: ``backend app``."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to change or to know."""

    line: int
    """0 where it belongs to no line."""
    severity: Severity
    title: str
    effect: str
    """What it does, in plain words."""
    fix: Fix | None = None
    """None where only the reader can know what was meant."""


def below(section: Section | None, *lines: str) -> Fix:
    """Below a section's first line; without a section, in a new ``global`` at the file's start."""
    if section is None:
        return Fix(at=0, lines=("global", *lines), replaces=False, place="at the start")
    return Fix(at=section.line, lines=lines, replaces=False, place=section.label)


def instead(line: int, text: str | None, place: str) -> Fix:
    """Instead of a line; with ``text`` None, that line is to be deleted."""
    return Fix(at=line, lines=() if text is None else (text,), replaces=True, place=place)


def by_home(sections: Iterable[Section]) -> Iterator[tuple[Section, list[Section]]]:
    """Sections of one mode that inherit from the same ``defaults``, and where to write a line for them."""
    groups: dict[tuple[str, int], list[Section]] = {}
    for section in sections:
        groups.setdefault((section.mode, (section.parent or section).line), []).append(section)
    for group in groups.values():
        yield home_of(group), group


def home_of(backends: list[Section]) -> Section:
    """Where one line serves them all: in the only one, or in the ``defaults`` that they share."""
    first = backends[0]
    return first if len(backends) == 1 or first.parent is None else first.parent


def global_section(config: Config) -> Section | None:
    """The first ``global`` section."""
    return next(iter(config.of(SectionKind.GLOBAL)), None)


def joined(labels: Iterable[str]) -> str:
    """``backend a, backend b and 3 more``, each once."""
    names = list(dict.fromkeys(labels))
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + more
