"""Which way the requests of a ``haproxy.cfg`` go, and which of its rules tell WebSockets from the rest."""

import re
from collections.abc import Iterable, Iterator

import msgspec

from wsload.haproxy.cfg_sections import BACK_KINDS, FRONT_KINDS, Section, SectionKind

_UPGRADE_HEADER = re.compile(r"hdr\w*\((?:upgrade|sec-websocket-|connection\b.*\bupgrade\b)", re.IGNORECASE)
_WEBSOCKET_WORD = re.compile(
    r"(?<![a-z0-9])(?:wss?|websockets?|socket\.?io|sockjs|signalr)(?![a-z0-9])", re.IGNORECASE
)


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A way from clients to servers; of a ``listen`` to its own servers both ends are the same section."""

    frontend: Section
    backend: Section
    line: int
    """Of the ``use_backend`` or ``default_backend``, or of the ``listen`` itself."""
    websocket: bool
    """The file itself says that it carries WebSockets."""


def routes_of(sections: list[Section]) -> Iterator[Route]:
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


def tells_websockets(words: tuple[str, ...], section: Section) -> bool:
    """Whether the condition at a rule's end, if it has one, picks WebSockets; ``acl`` names are looked up."""
    start = next((at for at, word in enumerate(words) if word in ("if", "unless")), None)
    if start is None:
        return False
    wanted = words[start] == "if"
    return any(
        _is_websocket_term(term, section) for holds, term in _terms(words[start + 1 :]) if holds == wanted
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
