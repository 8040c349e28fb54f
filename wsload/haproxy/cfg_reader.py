"""A ``haproxy.cfg`` as its user wrote it: sections, what they inherit, and which way requests go. Pure text.

Rules of the language: configuration manual, sections 2.2 (quoting), 2.3 (variables), 2.4 (conditional blocks)
and 4 (which ``defaults`` a proxy inherits). It reads any text without an error: to reject is HAProxy's part.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from functools import cached_property

import msgspec

from wsload.units import NS_PER_MS, NS_PER_S, NS_PER_US


class SectionKind(StrEnum):
    """What a section keyword opens; OTHER is any that no connection of a client passes."""

    GLOBAL = "global"
    DEFAULTS = "defaults"
    FRONTEND = "frontend"
    BACKEND = "backend"
    LISTEN = "listen"
    OTHER = "other"


_OTHER_SECTIONS = (
    "acme cache crt-store fcgi-app http-errors log-forward log-profile mailers peers program resolvers ring "
    "traces userlist"
)
_KIND_OF = {kind.value: kind for kind in SectionKind if kind is not SectionKind.OTHER} | dict.fromkeys(
    _OTHER_SECTIONS.split(), SectionKind.OTHER
)
FRONT_KINDS = (SectionKind.FRONTEND, SectionKind.LISTEN)
"""Sections that clients connect to."""
BACK_KINDS = (SectionKind.BACKEND, SectionKind.LISTEN)
"""Sections that connect to servers."""

_UNIT_NS = {
    "us": NS_PER_US,
    "": NS_PER_MS,
    "ms": NS_PER_MS,
    "s": NS_PER_S,
    "m": 60 * NS_PER_S,
    "h": 3600 * NS_PER_S,
    "d": 86400 * NS_PER_S,
}
_TIME = re.compile(r"(\d+)(us|ms|s|m|h|d)?", re.ASCII)
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?:\[\*\])?(?:-([^}]*))?\}|(\w+))")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"} | {char: char for char in " #\\'\""}
_UPGRADE_HEADER = re.compile(r"hdr\w*\((?:upgrade|sec-websocket-|connection\b.*\bupgrade\b)", re.IGNORECASE)
_WEBSOCKET_WORD = re.compile(
    r"(?<![a-z0-9])(?:wss?|websockets?|socket\.?io|sockjs|signalr)(?![a-z0-9])", re.IGNORECASE
)


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One directive. ``words`` are unquoted and their variables expanded; ``text`` is as written, without
    its comment and indentation."""

    number: int
    text: str
    words: tuple[str, ...]
    section: str
    """Where it stands: ``backend app``, ``defaults``."""
    section_line: int


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


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A way from clients to servers; of a ``listen`` to its own servers both ends are the same section."""

    frontend: Section
    backend: Section
    line: int
    """Of the ``use_backend`` or ``default_backend``, or of the ``listen`` itself."""
    websocket: bool
    """The file itself says that it carries WebSockets."""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """A whole file."""

    sections: tuple[Section, ...]
    routes: tuple[Route, ...]
    unknown_conditions: tuple[int, ...]
    """Lines of ``.if`` that only HAProxy can decide; all their branches were read as if active."""

    def of(self, *kinds: SectionKind) -> tuple[Section, ...]:
        """Sections of these kinds, in the file's order."""
        return tuple(section for section in self.sections if section.kind in kinds)

    def global_line(self, keyword: str) -> Line | None:
        """The line that counts, of all ``global`` sections."""
        lines = [found for part in self.of(SectionKind.GLOBAL) if (found := part.last(keyword))]
        return lines[-1] if lines else None


def read_config(text: str, environ: Mapping[str, str]) -> Config:
    """Read a file's text; variables come from ``environ`` and from the file's own ``setenv``."""
    sections: list[Section] = []
    conditions = _Conditions()
    variables = dict(environ)
    for number, source in enumerate(text.split("\n"), start=1):
        words, code = split_words(source, variables)
        if not words or conditions.take(number, words) or not conditions.active:
            continue
        if words[0] in _KIND_OF:
            sections.append(_open_section(number, words, sections))
        elif sections:
            current = sections[-1]
            line = Line(
                number=number,
                text=code,
                words=tuple(words),
                section=current.label,
                section_line=current.line,
            )
            sections[-1] = msgspec.structs.replace(current, lines=(*current.lines, line))
            _set_variable(words, variables)
    return Config(
        sections=tuple(sections),
        routes=tuple(_routes(sections)),
        unknown_conditions=tuple(conditions.unknown),
    )


def split_words(source: str, environ: Mapping[str, str]) -> tuple[list[str], str]:
    """The words of a line, and the line without its comment and indentation."""
    words: list[str] = []
    word: list[str] | None = None
    quote, at = "", 0
    while at < len(source):
        char = source[at]
        step = 1
        if not quote and (char.isspace() or char == "#"):
            words, word = ([*words, "".join(word)] if word is not None else words), None
            if char == "#":
                break
        elif char == quote or (not quote and char in "'\""):
            quote = "" if quote else char
            word = word or []
        else:
            taken, following = char, source[at + 1 : at + 2]
            if char == "\\" and quote != "'" and (following in _ESCAPES or (quote and following == "$")):
                taken, step = _ESCAPES.get(following, following), 2
            elif quote == '"' and (variable := _VARIABLE.match(source, at)):
                name = variable[1] or variable[3]
                taken, step = environ.get(name, variable[2] or ""), len(variable[0])
            word = [] if word is None else word
            word.append(taken)
        at += step
    if word is not None:
        words.append("".join(word))
    return words, source[:at].strip()


def parse_time_ns(text: str) -> int | None:
    """``30s`` -> 30e9; a bare number is milliseconds. None for what HAProxy does not take."""
    match = _TIME.fullmatch(text)
    return int(match[1]) * _UNIT_NS[match[2] or ""] if match else None


def number_after(words: tuple[str, ...], keyword: str) -> int | None:
    """The number that follows a keyword of a line: ``maxconn`` of a server."""
    following = words[words.index(keyword) + 1 :][:1] if keyword in words else ()
    return int(following[0]) if following and following[0].isdecimal() else None


def tells_websockets(words: tuple[str, ...], section: Section) -> bool:
    """Whether the condition at a rule's end, if it has one, picks WebSockets; ``acl`` names are looked up."""
    start = next((at for at, word in enumerate(words) if word in ("if", "unless")), None)
    if start is None:
        return False
    wanted = words[start] == "if"
    return any(
        _is_websocket_term(term, section) for holds, term in _terms(words[start + 1 :]) if holds == wanted
    )


class _Conditions:
    """Where in ``.if`` blocks the reader is; True, False and None (only HAProxy knows) for each level."""

    def __init__(self) -> None:
        self.unknown: list[int] = []
        self._levels: list[tuple[bool | None, bool | None]] = []  # this branch; any branch so far

    @property
    def active(self) -> bool:
        return all(branch is not False for branch, _ in self._levels)

    def take(self, number: int, words: list[str]) -> bool:
        """Whether the line is a directive of the preprocessor, and not the configuration's."""
        if not words[0].startswith("."):
            return False
        if words[0] == ".if":
            value = _constant(words[1:])
            if value is None and self.active:
                self.unknown.append(number)
            self._levels.append((value, value))
        elif words[0] in (".elif", ".else") and self._levels:
            _, before = self._levels[-1]
            value = True if words[0] == ".else" else _constant(words[1:])
            branch = False if before or value is False else value if before is False else None
            after = True if before or branch else None if None in (before, branch) else False
            self._levels[-1] = (branch, after)
        elif words[0] == ".endif" and self._levels:
            self._levels.pop()
        return True


def _constant(words: list[str]) -> bool | None:
    text = " ".join(words)
    return bool(int(text or "0")) if not text or text.isdecimal() else None


def _open_section(number: int, words: list[str], before: list[Section]) -> Section:
    kind = _KIND_OF[words[0]]
    name = words[1] if len(words) > 1 and words[1] != "from" else ""
    parent: Section | None = None
    all_defaults = [section for section in before if section.kind is SectionKind.DEFAULTS]
    if "from" in words[1:-1]:
        origin = words[words.index("from", 1) + 1]
        parent = next((section for section in all_defaults if section.name == origin), None)
    elif kind in (*FRONT_KINDS, *BACK_KINDS):
        parent = all_defaults[-1] if all_defaults else None
    return Section(
        kind=kind,
        name=name,
        line=number,
        label=f"{words[0]} {name}".strip(),
        parent=parent,
        lines=parent.lines if parent is not None else (),
    )


def _set_variable(words: list[str], variables: dict[str, str]) -> None:
    if len(words) == 3 and words[0] == "setenv":
        variables[words[1]] = words[2]
    elif len(words) == 3 and words[0] == "presetenv":
        variables.setdefault(words[1], words[2])


def _routes(sections: list[Section]) -> Iterator[Route]:
    """Every way that the file names. A ``use_backend`` whose name is computed may go to any backend."""
    targets = {part.name: part for part in sections if part.kind in BACK_KINDS and part.servers}
    for frontend in (section for section in sections if section.kind in FRONT_KINDS):
        told: dict[str, tuple[int, bool]] = {}
        for line in (*frontend.starting("use_backend"), *frontend.starting("default_backend")[-1:]):
            computed = "%[" in line.text
            for name in _any_backend(frontend, targets.values()) if computed else line.words[1:2]:
                number, websocket = told.get(name, (line.number, False))
                told[name] = (number, websocket or tells_websockets(line.words, frontend))
        if frontend.kind is SectionKind.LISTEN:
            told.setdefault(frontend.name, (frontend.line, False))
        for name, (number, websocket) in told.items():
            if name in targets:
                yield Route(
                    frontend=frontend,
                    backend=targets[name],
                    line=number,
                    websocket=websocket or _is_made_for_tunnels(targets[name]),
                )


def _any_backend(frontend: Section, targets: Iterable[Section]) -> list[str]:
    return [part.name for part in targets if part.kind is SectionKind.BACKEND and part.mode == frontend.mode]


def _is_made_for_tunnels(backend: Section) -> bool:
    """Its name says so, a server names its WebSocket protocol, or it has a tunnel timer of its own."""
    own_timer = any(
        line.words[:2] == ("timeout", "tunnel") or line in backend.tunnel_rules for line in backend.own_lines
    )
    return (
        own_timer
        or bool(_WEBSOCKET_WORD.search(backend.name))
        or any("ws" in server.words[3:-1] for server in backend.servers)
    )


def _terms(condition: tuple[str, ...]) -> Iterator[tuple[bool, tuple[str, ...]]]:
    """Each term and whether it has to hold: an ACL's name, or all words between braces."""
    holds = True
    inside: list[str] | None = None
    for word in condition:
        if inside is not None:
            if word == "}":
                yield holds, tuple(inside)
                holds, inside = True, None
            else:
                inside.append(word)
        elif word in ("!", "!{", "{"):
            holds = holds and not word.startswith("!")
            inside = [] if word.endswith("{") else None
        elif word not in ("or", "||"):
            yield holds and not word.startswith("!"), (word.lstrip("!"),)
            holds = True


def _is_websocket_term(term: tuple[str, ...], section: Section) -> bool:
    tests = [term]
    if len(term) == 1:  # an ACL's name; it may tell by itself
        tests = [("", *term), *(line.words[2:] for line in section.starting("acl", *term))]
    return any(
        _UPGRADE_HEADER.search(" ".join(words)) or any(map(_WEBSOCKET_WORD.search, words[1:]))
        for words in tests
    )
