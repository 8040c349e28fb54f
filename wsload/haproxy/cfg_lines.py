"""A ``haproxy.cfg``'s lines: their words, the times among these, and which conditions drop a line. Pure text.

Rules of the language: configuration manual, sections 2.2 (quoting), 2.3 (variables), 2.4 (conditional blocks)
and 2.5 (times).
"""

import re
from collections.abc import Mapping

import msgspec

from wsload.units import NS_PER_MS, NS_PER_S, NS_PER_US

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


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One directive. ``words`` are unquoted and their variables expanded; ``text`` is as written, without
    its comment and indentation."""

    number: int
    text: str
    words: tuple[str, ...]
    section: str
    """Where it stands: ``backend app``, ``defaults``."""
    section_line: int


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


class Conditions:
    """Where in ``.if`` blocks the reader is; True, False and None (only HAProxy knows) for each level."""

    def __init__(self) -> None:
        self.unknown: list[int] = []
        """Lines of ``.if`` that only HAProxy can decide."""
        self._levels: list[tuple[bool | None, bool | None]] = []  # this branch; any branch so far

    @property
    def active(self) -> bool:
        """Whether the lines that follow count."""
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
