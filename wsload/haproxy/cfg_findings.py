"""What in a ``haproxy.cfg`` hurts WebSocket tunnels, and what to write instead. Pure.

What each finding says was seen on HAProxy 2.6.12, 3.0.11 and 3.2.26 in clear text (haproxy-facts.md), or else is
the configuration manual's.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum

import msgspec

from wsload.haproxy.cfg_reader import (
    BACK_KINDS,
    FRONT_KINDS,
    Config,
    Line,
    Route,
    Section,
    SectionKind,
    Timeout,
    number_after,
    parse_time_ns,
    tells_websockets,
)
from wsload.haproxy.config import haproxy_time
from wsload.plan.preflight import HAPROXY_DESCRIPTORS
from wsload.units import NS_PER_MS, NS_PER_S, format_count

TUNNEL_LINE = "timeout tunnel 1h"
"""The manual's own example."""

_LONGEST_NS = 2_147_483_647 * NS_PER_MS
_LONG_NS = 12 * 3600 * NS_PER_S
_TOO_SHORT_NS = {"tunnel": 60 * NS_PER_S, "client": NS_PER_S, "server": NS_PER_S}
_TOO_SHORT_ELSE_NS = 100 * NS_PER_MS
"""A bare number below these was surely meant as seconds."""

_ALERT = re.compile(
    r"\[(ALERT|WARNING)\]\s+\(\d+\) : (?:config : )?(?:parsing \[.*?:(\d+)\]\s*: )?(.*)", re.DOTALL
)
_BOILERPLATE = ("Error(s) found in configuration file", "Fatal errors found in configuration")
_NAMES_SHOWN = 4


class Severity(StrEnum):
    """HARMFUL breaks tunnels, or HAProxy rejects it; RISKY does so under load or in time; HINT is good to know."""

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


def find(config: Config, *, version: str, nofile_hard: int) -> list[Finding]:
    """All findings in a file, by line.

    Args:
        config: The file.
        version: HAProxy's, ``2.6.12``: some settings do different things in different releases.
        nofile_hard: The hard descriptor limit of a process on this machine.
    """
    about = _About(
        config=config,
        routes=_tunnel_routes(config),
        version=version,
        release=tuple(int(part) for part in re.findall(r"\d+", version)[:2]),
        nofile_hard=nofile_hard,
    )
    found = [finding for check in _CHECKS for finding in check(about)]
    return sorted(found, key=lambda finding: finding.line)


def haproxy_findings(status: int, words: str) -> list[Finding]:
    """What ``haproxy -c`` said, as findings: its alerts are harmful, its warnings risky."""
    found = []
    for block in re.split(r"^(?=\[)", words, flags=re.MULTILINE):
        match = _ALERT.match(block.strip())
        if match is None or any(phrase in match[3] for phrase in _BOILERPLATE):
            continue
        rejects = match[1] == "ALERT"
        found.append(
            Finding(
                line=int(match[2] or 0),
                severity=Severity.HARMFUL if rejects else Severity.RISKY,
                title="HAProxy rejects it" if rejects else "HAProxy warns",
                effect=" ".join(match[3].split()),
            )
        )
    if status != 0 and not any(finding.severity is Severity.HARMFUL for finding in found):
        effect = " ".join(words.split()[-40:]) or f"It says nothing; its exit status is {status}."
        found.append(Finding(line=0, severity=Severity.HARMFUL, title="HAProxy rejects it", effect=effect))
    return found


def merged(haproxys: Iterable[Finding], ours: Iterable[Finding]) -> list[Finding]:
    """Both by line; HAProxy's warning about a tunnel timer in a frontend goes, ours says what to do as well."""
    own = list(ours)
    explained = {finding.line for finding in own if finding.title == _TUNNEL_IN_FRONTEND}
    kept = [
        finding
        for finding in haproxys
        if finding.line not in explained or "ignored because frontend" not in finding.effect
    ]
    return sorted([*kept, *own], key=lambda finding: finding.line)


class _About(msgspec.Struct, frozen=True, kw_only=True):
    """All that a check may look at."""

    config: Config
    routes: tuple[Route, ...]
    """Those that carry tunnels, as far as can be told."""
    version: str
    release: tuple[int, ...]
    nofile_hard: int


class _IdleEnd(msgspec.Struct, frozen=True, kw_only=True):
    """The timer that ends an idle tunnel; ``timer`` None: none does."""

    timer: Timeout | None
    state: str
    words: str


def _tunnel_routes(config: Config) -> tuple[Route, ...]:
    told = tuple(route for route in config.routes if route.websocket)
    return told or config.routes


def _in_force(timer: Timeout | None) -> bool:
    return timer is not None and timer.ns != 0


def _idle_end(route: Route) -> _IdleEnd:
    """Which timer ends an idle tunnel of a route whose backend has no tunnel timer.

    Seen on all three versions: at the smaller of client and server; the client's goes first if they are equal.
    """
    client, server = route.frontend.timeouts.get("client"), route.backend.timeouts.get("server")
    timers = [
        (timer, state)
        for timer, state in ((client, "cD"), (server, "sD"))
        if timer is not None and _in_force(timer)
    ]
    if not timers:
        words = "No timer ends an idle tunnel: a client that vanishes keeps its slot until HAProxy ends."
        return _IdleEnd(timer=None, state="", words=words)
    if any(timer.ns is None for timer, _ in timers):
        words = "Then the smaller of `timeout client` and `timeout server` ends an idle tunnel."
        return _IdleEnd(timer=timers[0][0], state="", words=words)
    timer, state = min(timers, key=lambda pair: pair[0].ns or 0)
    words = (
        f"An idle tunnel ends after {_shown(timer)}, by `timeout {timer.name}` of line {timer.line.number}; "
        f"HAProxy logs {state}."
    )
    return _IdleEnd(timer=timer, state=state, words=words)


def _tunnel_timer(route: Route, about: _About) -> Timeout | Line | None:
    """What sets a route's tunnel timer: a rule before the backend's setting; None or a 0 where nothing does."""
    rules = list(route.backend.tunnel_rules)
    if about.release < (3, 2) and route.frontend is not route.backend:
        rules += route.frontend.tunnel_rules  # kept when the request goes on to a backend, until 3.2
    covering = [rule for rule in rules if _always_for_tunnels(rule, route)]
    return covering[-1] if covering else route.backend.timeouts.get("tunnel")


def _always_for_tunnels(rule: Line, route: Route) -> bool:
    return _is_unconditional(rule) or tells_websockets(rule.words, route.backend)


def _is_unconditional(rule: Line) -> bool:
    return not {"if", "unless"} & set(rule.words)


def _no_tunnel(about: _About) -> Iterator[Finding]:
    """No ``timeout tunnel``, or one of 0: backends that share the reason and the remedy make one finding."""
    groups: dict[tuple[object, ...], list[Route]] = {}
    for route in about.routes:
        timer = _tunnel_timer(route, about)
        if timer is None or (isinstance(timer, Timeout) and timer.ns == 0):
            home = route.backend.parent or route.backend
            zero = timer.line.number if timer is not None and isinstance(timer, Timeout) else 0
            key = (zero, home.line, route.backend.mode, route.websocket, _idle_end(route).words)
            groups.setdefault(key, []).append(route)
    for (zero, *_), routes in groups.items():
        yield _no_tunnel_finding(routes, int(str(zero)))


def _no_tunnel_finding(routes: list[Route], zero: int) -> Finding:
    first = routes[0]
    backends = list({route.backend.line: route.backend for route in routes}.values())
    home = first.backend if len(backends) == 1 or first.backend.parent is None else first.backend.parent
    unsure = (
        ""
        if first.websocket
        else f" No rule tells which route carries WebSockets, so every mode-{first.backend.mode} one counts."
    )
    names = _names([backend.label for backend in backends])
    title = f"`timeout tunnel 0` is no timer: {names}" if zero else f"no `timeout tunnel`: {names}"
    lead = "0 switches it off, silently. " if zero else ""
    is_risky_only = first.backend.mode == "tcp" and not first.websocket
    return Finding(
        line=zero or home.line,
        severity=Severity.RISKY if is_risky_only else Severity.HARMFUL,
        title=title,
        effect=lead + _idle_end(first).words + unsure,
        fix=_instead(zero, TUNNEL_LINE, home.label) if zero else _below(home, TUNNEL_LINE),
    )


def _client_and_server_differ(about: _About) -> Iterator[Finding]:
    seen = set()
    for route in about.routes:
        timer = _tunnel_timer(route, about)
        client, server = route.frontend.timeouts.get("client"), route.backend.timeouts.get("server")
        if (isinstance(timer, Line) or _in_force(timer)) or client is None or server is None:
            continue
        if client.ns == server.ns or not client.ns or not server.ns:
            continue
        shorter, longer = sorted((client, server), key=lambda timer: timer.ns or 0)
        if (shorter.line.number, longer.line.number) in seen:
            continue
        seen.add((shorter.line.number, longer.line.number))
        late = (
            " It counts only for a backend that ignores HAProxy's FIN: such a tunnel lives that much longer."
            if longer is server
            else ""
        )
        yield Finding(
            line=longer.line.number,
            severity=Severity.HINT,
            title=f"`timeout {longer.name} {longer.text}` does not keep tunnels",
            effect=f"`timeout {shorter.name} {shorter.text}` of line {shorter.line.number} ends an idle one "
            f"first, as there is no `timeout tunnel`.{late}",
            fix=_below(route.backend, TUNNEL_LINE),
        )


def _bare_numbers(about: _About) -> Iterator[Finding]:
    """A time without a unit is milliseconds, and passes HAProxy's check."""
    for section in about.config.sections:
        if section.kind is SectionKind.OTHER:
            continue
        for line in section.own_lines:
            at = _time_at(line)
            if (
                at is None
                or len(line.words) <= at
                or not line.words[at].isdecimal()
                or not int(line.words[at])
            ):
                continue
            text, name = line.words[at], line.words[at - 1]
            ns = int(text) * NS_PER_MS
            short = ns < _TOO_SHORT_NS.get(name, _TOO_SHORT_ELSE_NS)
            meant = haproxy_time(int(text) * NS_PER_S if short else ns)
            fixed = " ".join((*line.words[:at], meant, *line.words[at + 1 :]))
            yield Finding(
                line=line.number,
                severity=Severity.HARMFUL if short else Severity.HINT,
                title=f"a bare number: `{' '.join(line.words[: at + 1])}`",
                effect=f"It is milliseconds: {haproxy_time(ns)}." + (" Seconds were meant?" if short else ""),
                fix=_instead(line.number, fixed, section.label),
            )


def _time_at(line: Line) -> int | None:
    """Which word of a line is a time."""
    if line.words[0] == "timeout":
        return 2
    if line.words[0] == "hard-stop-after":
        return 1
    return 3 if line.words[1:2] == ("set-timeout",) else None


def _tunnel_in_frontend(about: _About) -> Iterator[Finding]:
    for section in about.config.of(SectionKind.FRONTEND):
        for line in section.own_lines:
            if line.words[:2] == ("timeout", "tunnel"):
                yield Finding(
                    line=line.number,
                    severity=Severity.RISKY,
                    title=_TUNNEL_IN_FRONTEND,
                    effect="HAProxy ignores it there, with a warning: the backend's timer counts. Move the line "
                    "to the backend, or to the `defaults` that the backend inherits from.",
                    fix=_instead(line.number, None, section.label),
                )


_TUNNEL_IN_FRONTEND = "`timeout tunnel` in a frontend"


def _long_tunnels(about: _About) -> Iterator[Finding]:
    """Over HAProxy's limit; or so long that only keepalives notice clients that are gone."""
    seen = set()
    for section in about.config.of(SectionKind.DEFAULTS, *BACK_KINDS):
        for line in section.own_lines:
            ns = parse_time_ns(line.words[2]) if line.words[0] == "timeout" and len(line.words) > 2 else None
            if ns is not None and ns > _LONGEST_NS:
                seen.add(line.number)
                yield Finding(
                    line=line.number,
                    severity=Severity.HARMFUL,
                    title=f"`{' '.join(line.words[:3])}` is over HAProxy's limit",
                    effect="No timer can be longer than 2147483647 ms, about 24.8 days.",
                    fix=_instead(line.number, f"timeout {line.words[1]} 24d", section.label),
                )
    for route in about.routes:
        timer = _tunnel_timer(route, about)
        if not isinstance(timer, Timeout) or (timer.ns or 0) < _LONG_NS or timer.line.number in seen:
            continue
        if not _has_keepalive(route.frontend):
            seen.add(timer.line.number)
            yield Finding(
                line=timer.line.number,
                severity=Severity.RISKY,
                title=f"`timeout tunnel {timer.text}` and no keepalive",
                effect=f"A client that vanishes without a FIN keeps its slot for {timer.text}, unless the backend "
                f"pings. TCP keepalives find it within minutes. They do not refresh the timer.",
                fix=_below(route.frontend, "option clitcpka", "clitcpka-idle 60s", "clitcpka-intvl 20s"),
            )


def _has_keepalive(frontend: Section) -> bool:
    options = any(frontend.option(name) for name in ("clitcpka", "tcpka"))
    return options or (bool(frontend.binds) and all("tcp-ut" in bind.words for bind in frontend.binds))


def _independent_streams(about: _About) -> Iterator[Finding]:
    found: dict[int, tuple[Line, set[str]]] = {}
    for route in about.routes:
        for section, words in ((route.frontend, _SERVER_PUSHES), (route.backend, _CLIENT_SENDS)):
            line = section.option("independent-streams")
            if line is not None:
                found.setdefault(line.number, (line, set()))[1].add(words)
    for line, words in found.values():
        yield Finding(
            line=line.number,
            severity=Severity.HARMFUL,
            title="`option independent-streams`",
            effect="Bytes in one direction no longer refresh the other's timer: a tunnel is cut in the midst of "
            f"traffic when {' or when '.join(sorted(words))}.",
            fix=_instead(line.number, None, line.section),
        )


_SERVER_PUSHES = "its server pushes and its client is silent (cD)"
_CLIENT_SENDS = "its client sends and its server is silent (sD)"


def _descriptors(about: _About) -> Iterator[Finding]:
    """The process's maxconn against what its descriptors carry: two for each connection, and a few."""
    config, limit = about.config, about.nofile_hard
    setting, home = config.global_line("maxconn"), _global(config)
    maxconn = number_after(setting.words, "maxconn") if setting is not None else None
    if setting is None or not maxconn:
        own_limit = config.global_line("fd-hard-limit")
        if own_limit is not None:
            limit = min(limit, number_after(own_limit.words, "fd-hard-limit") or limit)
        carried = max(limit - HAPROXY_DESCRIPTORS, 0) // 2
        yield Finding(
            line=home.line if home is not None else 0,
            severity=Severity.RISKY,
            title="no `maxconn` in `global`",
            effect="The descriptor limit of whoever starts HAProxy decides how many connections it takes: with "
            f"{format_count(limit)}, about {format_count(carried)}. A tunnel needs two descriptors.",
            fix=_below(home, f"maxconn {carried // 100 * 100 or carried}"),
        )
        return
    needed = 2 * maxconn + HAPROXY_DESCRIPTORS
    for keyword, consequence in (
        ("ulimit-n", "HAProxy starts, and at {carried} connections it has no descriptors left"),
        ("fd-hard-limit", "HAProxy does not start: `Cannot raise FD limit`"),
    ):
        line = config.global_line(keyword)
        has = number_after(line.words, keyword) if line is not None else None
        if line is not None and has is not None and has < needed:
            carried = format_count(max(has - HAPROXY_DESCRIPTORS, 0) // 2)
            yield Finding(
                line=line.number,
                severity=Severity.HARMFUL,
                title=f"`{keyword} {has}` is too low for `maxconn {maxconn}`",
                effect=f"{format_count(needed)} are needed. {consequence.format(carried=carried)}; its own check "
                "does not see that.",
                fix=_instead(line.number, f"{keyword} {needed}", line.section),
            )
    if limit < needed:
        fits = max(limit - HAPROXY_DESCRIPTORS, 0) // 2
        yield Finding(
            line=setting.number,
            severity=Severity.RISKY,
            title=f"`maxconn {maxconn}` is more than this machine's descriptors",
            effect=f"It needs {format_count(needed)}; the hard limit here is {format_count(limit)}. Where HAProxy "
            "runs under this limit it does not start (`Cannot raise FD limit`); its own check does not see that. "
            f"Raise the limit (systemd: LimitNOFILE={needed}), or lower maxconn.",
            fix=_instead(setting.number, f"maxconn {fits // 100 * 100 or fits}", setting.section),
        )
    for section in config.of(*FRONT_KINDS):
        own = section.maxconn
        if own is not None and own[0] > maxconn and own[1].section_line != setting.section_line:
            yield Finding(
                line=own[1].number,
                severity=Severity.RISKY,
                title=f"`maxconn {own[0]}` of {section.label} is over the process's {maxconn}",
                effect=f"Beyond {format_count(maxconn)} connections nobody is served: TCP connects, then silence, "
                "and no log line.",
                fix=_instead(own[1].number, f"maxconn {maxconn}", own[1].section),
            )


def _half_closed(about: _About) -> Iterator[Finding]:
    """No server-fin timer (the client has closed, the server has not); for TCP also no client-fin timer."""
    for mode in ("http", "tcp"):
        routes = [route for route in about.routes if route.backend.mode == mode]
        lacking = [route for route in routes if "server-fin" not in route.backend.timeouts]
        if not lacking:
            continue
        works = mode == "tcp" or about.release < (3, 0)
        home = lacking[0].backend.parent or lacking[0].backend
        yield Finding(
            line=home.line,
            severity=Severity.RISKY if works else Severity.HINT,
            title=f"no `timeout server-fin`: {_names([route.backend.label for route in lacking])}",
            effect="A tunnel whose client has closed and whose server has not is held for the whole tunnel timeout. "
            + (_FIN_WORKS if works else _FIN_IDLE.format(version=about.version)),
            fix=_below(home, "timeout server-fin 30s") if works else None,
        )


_FIN_WORKS = "`timeout server-fin` ends it sooner; `timeout client-fin` alone does not."
_FIN_IDLE = (
    "On HAProxy {version} no setting shortens that: neither `server-fin` nor `client-fin` counts for an HTTP "
    "tunnel since 3.0 (on 2.6 `server-fin` does). A shorter `timeout tunnel` and pings do."
)


def _reloads(about: _About) -> Iterator[Finding]:
    home = _global(about.config)
    if about.config.global_line("hard-stop-after") is None:
        yield Finding(
            line=home.line if home is not None else 0,
            severity=Severity.RISKY,
            title="no `hard-stop-after`",
            effect="After a reload the old process lives as long as its last tunnel, with its memory and descriptors; "
            "frequent reloads pile them up. (`mworker-max-reloads` bounds their number, not their time.)",
            fix=_below(home, "hard-stop-after 1h"),
        )


def _server_queues(about: _About) -> Iterator[Finding]:
    for section in _backends(about):
        limited = [
            line
            for line in (*section.servers, *section.starting("default-server"))
            if "maxconn" in line.words
        ]
        if not limited or _in_force(section.timeouts.get("queue")):
            continue
        connect = section.timeouts.get("connect")
        wait = f"`timeout connect {connect.text}`" if connect is not None and connect.ns else "no time limit"
        yield Finding(
            line=limited[0].number,
            severity=Severity.RISKY,
            title=f"server `maxconn` and no `timeout queue`: {section.label}",
            effect="A tunnel holds its server slot for its whole life. The next one waits in the queue, for "
            f"{wait} in place of a queue timeout, then gets a 503 (sQ).",
            fix=_below(section, "timeout queue 10s"),
        )


def _set_timeouts(about: _About) -> Iterator[Finding]:
    """Rules for the tunnel timer that never count, or that newer releases drop."""
    for section in about.config.of(*FRONT_KINDS, *BACK_KINDS):
        rules = section.tunnel_rules
        last = next((rule for rule in reversed(rules) if _is_unconditional(rule)), None)
        for rule in rules[: rules.index(last)] if last is not None else ():
            yield Finding(
                line=rule.number,
                severity=Severity.RISKY,
                title=f"`{' '.join(rule.words[:4])}` never counts",
                effect=f"Line {last.number if last else 0} comes later, always applies, and the last one wins.",
                fix=_instead(rule.number, None, rule.section),
            )
    for route in about.config.routes:
        if route.frontend.kind is SectionKind.LISTEN and route.frontend is not route.backend:
            for rule in route.frontend.tunnel_rules:
                lost = about.release >= (3, 2)
                yield Finding(
                    line=rule.number,
                    severity=Severity.RISKY if lost else Severity.HINT,
                    title=f"`set-timeout tunnel` in a listen that passes on to {route.backend.label}",
                    effect=f"Line {route.line} sends requests to another backend. HAProxy 3.2 forgets the timeout on the "
                    f"way, 2.6 and 3.0 keep it; this one is {about.version}. Set it in the backend.",
                    fix=_below(route.backend, " ".join(rule.words)),
                )


def _chained_hops(about: _About) -> Iterator[Finding]:
    """A server that is a listener of the same file: the hop with the shorter timer decides."""
    for outer in about.config.routes:
        for inner in about.config.routes:
            if not any(
                _meets(server, bind) for server in outer.backend.servers for bind in inner.frontend.binds
            ):
                continue
            ours, theirs = _idle_timer(outer, about), _idle_timer(inner, about)
            if ours is None or theirs is None or not ours.ns or not theirs.ns or ours.ns == theirs.ns:
                continue
            shorter, longer = sorted((ours, theirs), key=lambda timer: timer.ns or 0)
            yield Finding(
                line=longer.line.number,
                severity=Severity.RISKY,
                title=f"chained: `timeout {longer.name} {longer.text}` is outlived by no tunnel",
                effect=f"{outer.backend.label} leads to {inner.frontend.label}, and `timeout {shorter.name} "
                f"{shorter.text}` of line {shorter.line.number} ends an idle tunnel first. Only that hop logs cD.",
                fix=_instead(
                    longer.line.number, f"timeout {longer.name} {shorter.text}", longer.line.section
                ),
            )


def _idle_timer(route: Route, about: _About) -> Timeout | None:
    timer = _tunnel_timer(route, about)
    return None if isinstance(timer, Line) else timer if _in_force(timer) else _idle_end(route).timer


def _meets(server: Line, bind: Line) -> bool:
    to, at = (
        _ADDRESS_KIND.sub("", line.words[position : position + 1][0]) if len(line.words) > position else ""
        for line, position in ((server, 2), (bind, 1))
    )
    if to == at:
        return bool(to)
    to_host, _, to_port = to.rpartition(":")
    at_host, _, at_port = at.rpartition(":")
    return to_port == at_port and to_host in _LOOPBACK and at_host in _ANY_ADDRESS


_ADDRESS_KIND = re.compile(r"^(?:ipv4|ipv6|unix)@")
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_ANY_ADDRESS = ("", "*", "0.0.0.0", "::", "[::]", "127.0.0.1", "localhost")


def _health_checks(about: _About) -> Iterator[Finding]:
    for section in _backends(about):
        defaults = [word for line in section.starting("default-server") for word in line.words]
        for server in section.servers:
            words = (*defaults, *server.words)
            if "check" in words and "shutdown-sessions" not in words:
                yield Finding(
                    line=server.number,
                    severity=Severity.HINT,
                    title="a server that is DOWN keeps its tunnels",
                    effect="Checks stop new tunnels only. The open ones stay with the dead server until a timer ends "
                    "them; with this they end at once, and clients reconnect elsewhere.",
                    fix=_instead(
                        server.number, f"{server.text} on-marked-down shutdown-sessions", section.label
                    ),
                )


def _conditions(about: _About) -> Iterator[Finding]:
    for number in about.config.unknown_conditions:
        yield Finding(
            line=number,
            severity=Severity.HINT,
            title="a condition only HAProxy can decide",
            effect="Lines of all its branches are read here as if they were in force; the last one counts.",
        )


_CHECKS: tuple[Callable[[_About], Iterator[Finding]], ...] = (
    _no_tunnel,
    _client_and_server_differ,
    _bare_numbers,
    _tunnel_in_frontend,
    _long_tunnels,
    _independent_streams,
    _descriptors,
    _half_closed,
    _reloads,
    _server_queues,
    _set_timeouts,
    _chained_hops,
    _health_checks,
    _conditions,
)


def _backends(about: _About) -> list[Section]:
    """The tunnels' backends, each once."""
    return list({route.backend.line: route.backend for route in about.routes}.values())


def _global(config: Config) -> Section | None:
    return next(iter(config.of(SectionKind.GLOBAL)), None)


def _below(section: Section | None, *lines: str) -> Fix:
    """Below a section's first line; without a section, in a new ``global`` at the file's start."""
    if section is None:
        return Fix(at=0, lines=("global", *lines), replaces=False, place="a new section at the start")
    return Fix(at=section.line, lines=lines, replaces=False, place=section.label)


def _instead(line: int, text: str | None, place: str) -> Fix:
    return Fix(at=line, lines=() if text is None else (text,), replaces=True, place=place)


def _names(labels: Iterable[str]) -> str:
    names = list(dict.fromkeys(labels))
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + more


def _shown(timer: Timeout) -> str:
    return haproxy_time(timer.ns) if timer.ns is not None else timer.text
