"""A ``haproxy.cfg``'s sections, with the lines that apply in each, its own and inherited ones."""

from enum import StrEnum
from functools import cached_property

import msgspec

from wsload.haproxy.cfg_lines import Line, number_after, parse_time_ns


class SectionKind(StrEnum):
    """What a section keyword opens; OTHER is any that no connection of a client passes."""

    GLOBAL = "global"
    DEFAULTS = "defaults"
    FRONTEND = "frontend"
    BACKEND = "backend"
    LISTEN = "listen"
    OTHER = "other"


FRONT_KINDS = (SectionKind.FRONTEND, SectionKind.LISTEN)
"""Sections that clients connect to."""
BACK_KINDS = (SectionKind.BACKEND, SectionKind.LISTEN)
"""Sections that connect to servers."""


class Timeout(msgspec.Struct, frozen=True, kw_only=True):
    """A ``timeout`` in force in a section."""

    name: str
    text: str
    """Its value as HAProxy reads it, ``30s``."""
    ns: int | None
    """None if it is no time that HAProxy takes."""
    line: Line
    inherited_from: str | None
    """The ``defaults`` it comes from; None if it stands in the section itself."""


class Section(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One section with all that applies in it; of a repeated setting the last one counts."""

    kind: SectionKind
    name: str
    line: int
    label: str
    """``backend app``: what to call it."""
    parent: "Section | None"
    """The ``defaults`` it inherits from."""
    lines: tuple[Line, ...]
    """Inherited ones first, then its own."""

    @property
    def own_lines(self) -> tuple[Line, ...]:
        """Those that stand in it."""
        return tuple(line for line in self.lines if line.section_line == self.line)

    def starting(self, *words: str) -> tuple[Line, ...]:
        """The lines in force that begin with these words."""
        return tuple(line for line in self._by_keyword.get(words[0], ()) if line.words[: len(words)] == words)

    @cached_property
    def _by_keyword(self) -> dict[str, list[Line]]:
        """Made once: a section may have thousands of lines, and every route asks it for a few."""
        found: dict[str, list[Line]] = {}
        for line in self.lines:
            taken_back = line.words[0] in ("no", "default")
            found.setdefault(line.words[1] if taken_back and line.words[1:] else line.words[0], []).append(
                line
            )
        return found

    def last(self, *words: str) -> Line | None:
        """The line that counts for a setting."""
        return next(reversed(self.starting(*words)), None)

    @cached_property
    def timeouts(self) -> dict[str, Timeout]:
        """Those in force, by name without the word ``timeout``."""
        return {
            line.words[1]: Timeout(
                name=line.words[1],
                text=line.words[2],
                ns=parse_time_ns(line.words[2]),
                line=line,
                inherited_from=line.section if line.section_line != self.line else None,
            )
            for line in self.starting("timeout")
            if len(line.words) > 2
        }

    def option(self, name: str) -> Line | None:
        """The line that switches an option on, unless ``no option`` does away with it further down."""
        found = None
        for line in self._by_keyword.get("option", ()):
            if line.words[:2] == ("option", name):
                found = line
            elif line.words[:3] in (("no", "option", name), ("default", "option", name)):
                found = None
        return found

    @property
    def mode(self) -> str:
        """HAProxy's default is ``tcp``."""
        line = self.last("mode")
        return line.words[1] if line is not None and len(line.words) > 1 else "tcp"

    @property
    def maxconn(self) -> tuple[int, Line] | None:
        """The number in force and its line; None where none is, or HAProxy takes its own (0)."""
        line = self.last("maxconn")
        number = number_after(line.words, "maxconn") if line is not None else None
        return (number, line) if line is not None and number else None

    @property
    def binds(self) -> tuple[Line, ...]:
        """Where it listens."""
        return self.starting("bind")

    @property
    def servers(self) -> tuple[Line, ...]:
        """Its servers; templates count."""
        return self.starting("server") + self.starting("server-template")

    @property
    def tunnel_rules(self) -> tuple[Line, ...]:
        """``http-request set-timeout tunnel`` and its like, in the order in which they are evaluated."""
        return self.starting("http-request", "set-timeout", "tunnel") + self.starting(
            "http-response", "set-timeout", "tunnel"
        )
