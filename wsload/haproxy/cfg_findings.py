"""What in a ``haproxy.cfg`` hurts WebSocket tunnels, and what to write instead. Pure.

What each finding says was seen on HAProxy 2.6.12, 3.0.11 and 3.2.26 in clear text (haproxy-facts.md), or else
is the configuration manual's.
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

FIN_LINE = "timeout server-fin 30s"
DOWN_LINE = "default-server on-marked-down shutdown-sessions"

_LONGEST_NS = 2_147_483_647 * NS_PER_MS
_LONG_NS = 12 * 3600 * NS_PER_S
_TOO_SHORT_NS = {"tunnel": 60 * NS_PER_S, "client": NS_PER_S, "server": NS_PER_S}
_TOO_SHORT_ELSE_NS = 100 * NS_PER_MS
"""A bare number below these was surely meant as seconds."""

_ALERT = re.compile(
    r"\[(ALERT|WARNING)\]\s+\(\d+\) : (?:config : )?(?:parsing \[.*?:(\d+)\]\s*: )?(.*)", re.DOTALL
)
_ABSENT = re.compile(
    r"cannot find (?:user|group) id|No such file|unable to (?:stat|load|open)|failed to open|not resolve"
)
_BOILERPLATE = ("Error(s) found in configuration file", "Fatal errors found in configuration")
_TUNNEL_IN_FRONTEND = "`timeout tunnel` in a frontend"
_BARE_NUMBER = "a bare number"
_SAID_BY_BOTH = (
    (_TUNNEL_IN_FRONTEND, "ignored because frontend"),
    (_BARE_NUMBER, "suspiciously small"),  # from 3.2 on, for some of them
)
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
        effect = " ".join(match[3].split())
        if _ABSENT.search(effect):
            effect += " (It may be there on the machine where HAProxy runs.)"
        found.append(
            Finding(
                line=int(match[2] or 0),
                severity=Severity.HARMFUL if rejects else Severity.RISKY,
                title="HAProxy rejects it" if rejects else "HAProxy warns",
                effect=effect,
            )
        )
    if status != 0 and not any(finding.severity is Severity.HARMFUL for finding in found):
        effect = " ".join(words.split()[-40:]) or f"It says nothing; its exit status is {status}."
        found.append(Finding(line=0, severity=Severity.HARMFUL, title="HAProxy rejects it", effect=effect))
    return found


def merged(haproxys: Iterable[Finding], ours: Iterable[Finding]) -> list[Finding]:
    """Both by line; where ours says the same as HAProxy's warning and what to do, the warning goes."""
    own = list(ours)
    explained = {
        (finding.line, phrase)
        for finding in own
        for title, phrase in _SAID_BY_BOTH
        if finding.title.startswith(title)
    }
    kept = [
        finding
        for finding in haproxys
        if not any(line == finding.line and phrase in finding.effect for line, phrase in explained)
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
    words: str


def _tunnel_routes(config: Config) -> tuple[Route, ...]:
    told = tuple(route for route in config.routes if route.websocket)
    return told or config.routes


def _in_force(timer: Timeout | None) -> bool:
    return timer is not None and timer.ns != 0


def _idle_end(route: Route) -> _IdleEnd:
    """Which timer ends an idle tunnel of a route whose backend has no tunnel timer.

    Seen on all three versions: the smaller of client and server; the client's, if they are equal.
    """
    client, server = route.frontend.timeouts.get("client"), route.backend.timeouts.get("server")
    timers = [
        (timer, state)
        for timer, state in ((client, "cD"), (server, "sD"))
        if timer is not None and _in_force(timer)
    ]
    if not timers:
        words = "No timer ends an idle tunnel: a client that vanishes keeps its slot until HAProxy ends."
        return _IdleEnd(timer=None, words=words)
    if any(timer.ns is None for timer, _ in timers):
        words = "Then the smaller of `timeout client` and `timeout server` ends an idle tunnel."
        return _IdleEnd(timer=timers[0][0], words=words)
    timer, state = min(timers, key=lambda pair: pair[0].ns or 0)
    words = (
        f"An idle tunnel ends after {_shown(timer)}, by `timeout {timer.name}` of line {timer.line.number}; "
        f"HAProxy logs {state}."
    )
    return _IdleEnd(timer=timer, words=words)


def _tunnel_timer(route: Route, about: _About) -> Timeout | Line | None:
    """What sets a route's tunnel timer: a rule goes before the backend's setting, which may be 0."""
    rules = list(route.backend.tunnel_rules)
    if about.release < (3, 2) and route.frontend is not route.backend:
        rules = [*route.frontend.tunnel_rules, *rules]  # a listen's are kept on the way, until 3.2
    covering = [rule for rule in rules if _always_for_tunnels(rule, route)]
    return covering[-1] if covering else route.backend.timeouts.get("tunnel")


def _always_for_tunnels(rule: Line, route: Route) -> bool:
    return _is_unconditional(rule) or tells_websockets(rule.words, route.backend)


def _is_unconditional(rule: Line) -> bool:
    return not {"if", "unless"} & set(rule.words)


def _no_tunnel(about: _About) -> Iterator[Finding]:
    """No ``timeout tunnel``, or one of 0: backends that share the reason and the remedy make one finding."""
    groups: dict[tuple[int, int, str, bool, str], list[Route]] = {}
    none_told = not any(route.websocket for route in about.config.routes)
    for route in about.config.routes:
        timer = _tunnel_timer(route, about)
        is_zero = isinstance(timer, Timeout) and not _in_force(timer)
        if is_zero or (timer is None and (route.websocket or none_told)):
            home = route.backend.parent or route.backend
            zero = timer.line.number if isinstance(timer, Timeout) else 0
            key = (zero, home.line, route.backend.mode, route.websocket, _idle_end(route).words)
            groups.setdefault(key, []).append(route)
    for routes in groups.values():
        yield _no_tunnel_finding(routes)


def _no_tunnel_finding(routes: list[Route]) -> Finding:
    first = routes[0]
    backends = list({route.backend.line: route.backend for route in routes}.values())
    mode, zero, home = first.backend.mode, first.backend.timeouts.get("tunnel"), _home(backends)
    effect = _idle_end(first).words
    if zero is not None:
        effect = f"0 switches it off, silently. {effect}"
    if not first.websocket and zero is None:
        effect += f" No rule tells which route carries WebSockets, so every mode-{mode} one counts."
    names = _names([backend.label for backend in backends])
    return Finding(
        line=home.line if zero is None else zero.line.number,
        severity=Severity.HARMFUL
        if mode == "http" or first.websocket or zero is not None
        else Severity.RISKY,
        title=f"no `timeout tunnel`: {names}" if zero is None else f"`timeout tunnel {zero.text}`: {names}",
        effect=effect,
        fix=_below(home, TUNNEL_LINE)
        if zero is None
        else _instead(zero.line.number, TUNNEL_LINE, zero.line.section),
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
            fix=_below(route.backend.parent or route.backend, TUNNEL_LINE),
        )


def _bare_numbers(about: _About) -> Iterator[Finding]:
    """A time without a unit is milliseconds, and passes HAProxy's check."""
    for section in about.config.of(SectionKind.GLOBAL, SectionKind.DEFAULTS, *FRONT_KINDS, *BACK_KINDS):
        for line in section.own_lines:
            name, text = _name_and_time(line.words)
            if not text.isdecimal() or not int(text):
                continue
            ns = int(text) * NS_PER_MS
            short = ns < _TOO_SHORT_NS.get(name, _TOO_SHORT_ELSE_NS)
            short |= name == "tunnel" and ns % NS_PER_S != 0  # 86400: nobody wants 86.4 s, but many a day
            meant = haproxy_time(int(text) * NS_PER_S if short else ns)
            yield Finding(
                line=line.number,
                severity=Severity.HARMFUL if short else Severity.HINT,
                title=f"{_BARE_NUMBER}: `{' '.join(line.text.split())}`",
                effect=f"It is milliseconds: {haproxy_time(ns)}." + (" Seconds were meant?" if short else ""),
                fix=_instead(line.number, line.text.replace(text, meant, 1), section.label),
            )


def _name_and_time(words: tuple[str, ...]) -> tuple[str, str]:
    """Which timer a line sets, and to what; empty where it sets none."""
    at = 2 if words[0] == "timeout" else 3 if words[1:2] == ("set-timeout",) else 1
    is_timer = words[0] in ("timeout", "hard-stop-after") or at == 3
    return (words[at - 1], words[at]) if is_timer and len(words) > at else ("", "")


def _tunnel_in_frontend(about: _About) -> Iterator[Finding]:
    for section in about.config.of(SectionKind.FRONTEND):
        for line in section.own_lines:
            if line.words[:2] == ("timeout", "tunnel"):
                yield Finding(
                    line=line.number,
                    severity=Severity.RISKY,
                    title=_TUNNEL_IN_FRONTEND,
                    effect="HAProxy ignores it there, with a warning: the backend's timer counts. Move the "
                    "line to the backend, or to the `defaults` that the backend inherits from.",
                    fix=_instead(line.number, None, section.label),
                )


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
                effect=f"A client that vanishes without a FIN keeps its slot for {timer.text}, unless the "
                "backend pings. TCP keepalives find it within minutes; they do not refresh the timer.",
                fix=_below(route.frontend, "option clitcpka", "clitcpka-idle 60s", "clitcpka-intvl 20s"),
            )


def _has_keepalive(frontend: Section) -> bool:
    options = any(frontend.option(name) for name in ("clitcpka", "tcpka"))
    return options or (bool(frontend.binds) and all("tcp-ut" in bind.words for bind in frontend.binds))


def _independent_streams(about: _About) -> Iterator[Finding]:
    cuts: dict[int, set[str]] = {}
    places: dict[int, str] = {}
    for route in about.routes:
        for section, cut in ((route.frontend, _SERVER_PUSHES), (route.backend, _CLIENT_SENDS)):
            line = section.option("independent-streams")
            if line is not None:
                cuts.setdefault(line.number, set()).add(cut)
                places[line.number] = line.section
    for number, when in cuts.items():
        yield Finding(
            line=number,
            severity=Severity.HARMFUL,
            title="`option independent-streams`",
            effect="Bytes in one direction no longer refresh the other's timer: a tunnel is cut in the midst "
            f"of traffic when {' or when '.join(sorted(when))}.",
            fix=_instead(number, None, places[number]),
        )


_SERVER_PUSHES = "its server pushes and its client is silent (cD)"
_CLIENT_SENDS = "its client sends and its server is silent (sD)"


def _no_maxconn(about: _About) -> Iterator[Finding]:
    if _maxconn(about.config) is not None:
        return
    config, limit = about.config, about.nofile_hard
    bound = config.global_line("fd-hard-limit")
    if bound is not None:
        limit = min(limit, number_after(bound.words, "fd-hard-limit") or limit)
    carried, home = _connections(limit), _global(config)
    yield Finding(
        line=home.line if home is not None else 0,
        severity=Severity.RISKY,
        title="no `maxconn` in `global`",
        effect="The descriptor limit of whoever starts HAProxy decides how many connections it takes: with "
        f"{format_count(limit)} about {format_count(carried)}, as each takes two.",
        fix=_below(home, f"maxconn {_rounded(carried)}"),
    )


def _descriptors(about: _About) -> Iterator[Finding]:
    """The process's maxconn against what its descriptors carry; ``haproxy -c`` sees nothing of it."""
    setting = _maxconn(about.config)
    if setting is None:
        return
    maxconn, line = setting
    needed, limit = 2 * maxconn + HAPROXY_DESCRIPTORS, about.nofile_hard
    for keyword, consequence in (
        ("ulimit-n", "HAProxy starts, and with {carried} connections its descriptors are used up."),
        ("fd-hard-limit", "HAProxy passes its own check and does not start: `Cannot raise FD limit`."),
    ):
        bound = about.config.global_line(keyword)
        has = number_after(bound.words, keyword) if bound is not None else None
        if bound is not None and has is not None and has < needed:
            carried = format_count(_connections(has))
            yield Finding(
                line=bound.number,
                severity=Severity.HARMFUL,
                title=f"`{keyword} {has}` is too low for `maxconn {maxconn}`",
                effect=f"{format_count(needed)} are needed. {consequence.format(carried=carried)}",
                fix=_instead(bound.number, f"{keyword} {needed}", bound.section),
            )
    if limit < needed:
        yield Finding(
            line=line.number,
            severity=Severity.RISKY,
            title=f"`maxconn {maxconn}` is more than this machine's descriptors",
            effect=f"It needs {format_count(needed)}; the hard limit is {format_count(limit)}. With that "
            "HAProxy passes its own check and does not start (`Cannot raise FD limit`). Raise the limit "
            f"(systemd: LimitNOFILE={needed}), or lower maxconn.",
            fix=_instead(line.number, f"maxconn {_rounded(_connections(limit))}", line.section),
        )


def _frontend_maxconn(about: _About) -> Iterator[Finding]:
    whole = _maxconn(about.config)
    seen = set()
    for section in about.config.of(*FRONT_KINDS):
        own = section.maxconn
        if whole is None or own is None or own[0] <= whole[0] or own[1].number in seen:
            continue
        seen.add(own[1].number)
        yield Finding(
            line=own[1].number,
            severity=Severity.RISKY,
            title=f"`maxconn {own[0]}` of {own[1].section} is over the process's {whole[0]}",
            effect=f"Beyond {format_count(whole[0])} connections nobody is served: TCP connects, then comes "
            "silence, and no log line.",
            fix=_instead(own[1].number, f"maxconn {whole[0]}", own[1].section),
        )


def _maxconn(config: Config) -> tuple[int, Line] | None:
    line = config.global_line("maxconn")
    number = number_after(line.words, "maxconn") if line is not None else None
    return (number, line) if line is not None and number else None


def _connections(descriptors: int) -> int:
    return max(descriptors - HAPROXY_DESCRIPTORS, 0) // 2


def _rounded(connections: int) -> int:
    return connections // 100 * 100 or max(connections, 1)


def _half_closed(about: _About) -> Iterator[Finding]:
    """No server-fin timer: nothing hurries a server whose client has closed."""
    lacking = [section for section in _backends(about) if "server-fin" not in section.timeouts]
    for home, sections in _by_home(lacking):
        mode = sections[0].mode
        works = mode == "tcp" or about.release < (3, 0)
        yield Finding(
            line=home.line,
            severity=Severity.RISKY if works else Severity.HINT,
            title=f"no `timeout server-fin`: {_names([section.label for section in sections])}",
            effect="A tunnel whose client has closed and whose server has not is held for the whole tunnel "
            "timeout. " + (_FIN_WORKS if works else _FIN_IDLE.format(version=about.version)),
            fix=_below(home, FIN_LINE) if works else None,
        )


_FIN_WORKS = "`timeout server-fin` ends it sooner; `timeout client-fin` alone does not."
_FIN_IDLE = (
    "On HAProxy {version} neither `server-fin` nor `client-fin` shortens that for HTTP (on 2.6 `server-fin` "
    "does): keep `timeout tunnel` short, and let clients or servers ping."
)


def _reloads(about: _About) -> Iterator[Finding]:
    home = _global(about.config)
    if about.config.global_line("hard-stop-after") is None:
        yield Finding(
            line=home.line if home is not None else 0,
            severity=Severity.RISKY,
            title="no `hard-stop-after`",
            effect="After a reload the old process lives as long as its last tunnel, with its memory and "
            "descriptors; frequent reloads pile them up. `mworker-max-reloads` bounds only their number.",
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
        later = f"Line {last.number}" if last is not None else ""
        for rule in rules[: rules.index(last)] if last is not None else ():
            yield Finding(
                line=rule.number,
                severity=Severity.RISKY,
                title=f"`{' '.join(rule.words[:4])}` never counts",
                effect=f"{later} comes later, always applies, and the last one wins.",
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
                    effect=f"Line {route.line} sends requests to another backend. HAProxy 3.2 forgets the "
                    f"timeout on the way, 2.6 and 3.0 keep it; this is {about.version}.",
                    fix=_below(route.backend, " ".join(rule.words[:4])),
                )


def _chained_hops(about: _About) -> Iterator[Finding]:
    """A server that is a listener of the same file: the hop with the shorter timer decides."""
    at: dict[str, dict[int, Route]] = {}
    for route in about.config.routes:
        for bind in route.frontend.binds:
            for address in _addresses(bind.words[1:2], _ANY_ADDRESS):
                at.setdefault(address, {})[id(route)] = route
    for outer in about.config.routes:
        inner_routes = {
            key: inner
            for server in outer.backend.servers
            for address in _addresses(server.words[2:3], _LOOPBACK)
            for key, inner in at.get(address, {}).items()
        }
        for inner in inner_routes.values():
            ours, theirs = _idle_timer(outer, about), _idle_timer(inner, about)
            if ours is None or theirs is None or not ours.ns or not theirs.ns or ours.ns == theirs.ns:
                continue
            shorter, longer = sorted((ours, theirs), key=lambda timer: timer.ns or 0)
            remedy = (
                _instead(shorter.line.number, f"timeout tunnel {longer.text}", shorter.line.section)
                if shorter.name == "tunnel"
                else None
            )
            yield Finding(
                line=shorter.line.number,
                severity=Severity.RISKY,
                title=f"`timeout {shorter.name} {shorter.text}` is the shorter of two hops",
                effect=f"{outer.backend.label} leads to {inner.frontend.label}: an idle tunnel ends here, "
                f"and `timeout {longer.name} {longer.text}` of line {longer.line.number} never counts. Only "
                "this hop logs cD or sD.",
                fix=remedy,
            )


def _idle_timer(route: Route, about: _About) -> Timeout | None:
    timer = _tunnel_timer(route, about)
    return None if isinstance(timer, Line) else timer if _in_force(timer) else _idle_end(route).timer


def _addresses(words: tuple[str, ...], local_hosts: tuple[str, ...]) -> Iterator[str]:
    """An address as written; and ``local:PORT`` where its host is this machine."""
    for word in words:
        address = _ADDRESS_KIND.sub("", word)
        yield address
        host, colon, port = address.rpartition(":")
        if colon and host in local_hosts:
            yield f"local:{port}"


_ADDRESS_KIND = re.compile(r"^(?:ipv4|ipv6|unix)@")
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_ANY_ADDRESS = ("", "*", "0.0.0.0", "::", "[::]", "127.0.0.1", "localhost")


def _health_checks(about: _About) -> Iterator[Finding]:
    careless = [section for section in _backends(about) if any(_keeps_tunnels(section))]
    for home, sections in _by_home(careless):
        yield Finding(
            line=next(_keeps_tunnels(sections[0])).number,
            severity=Severity.HINT,
            title=f"a server that is DOWN keeps its tunnels: {_names([part.label for part in sections])}",
            effect="Checks stop new tunnels only. The open ones stay with the dead server until a timer ends "
            "them; with this they end at once, and clients reconnect elsewhere.",
            fix=_below(home, DOWN_LINE),
        )


def _keeps_tunnels(section: Section) -> Iterator[Line]:
    """Servers that are checked, and whose tunnels outlive a failed check."""
    common = [word for line in section.starting("default-server") for word in line.words]
    for server in section.servers:
        words = (*common, *server.words)
        if "check" in words and "shutdown-sessions" not in words:
            yield server


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
    _no_maxconn,
    _descriptors,
    _frontend_maxconn,
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


def _by_home(sections: Iterable[Section]) -> Iterator[tuple[Section, list[Section]]]:
    """Sections of one mode that inherit from the same ``defaults``, and where to write a line for them."""
    groups: dict[tuple[str, int], list[Section]] = {}
    for section in sections:
        groups.setdefault((section.mode, (section.parent or section).line), []).append(section)
    for group in groups.values():
        yield _home(group), group


def _home(backends: list[Section]) -> Section:
    """Where one line serves them all: in the only one, or in the ``defaults`` that they share."""
    first = backends[0]
    return first if len(backends) == 1 or first.parent is None else first.parent


def _global(config: Config) -> Section | None:
    return next(iter(config.of(SectionKind.GLOBAL)), None)


def _below(section: Section | None, *lines: str) -> Fix:
    """Below a section's first line; without a section, in a new ``global`` at the file's start."""
    if section is None:
        return Fix(at=0, lines=("global", *lines), replaces=False, place="at the start")
    return Fix(at=section.line, lines=lines, replaces=False, place=section.label)


def _instead(line: int, text: str | None, place: str) -> Fix:
    return Fix(at=line, lines=() if text is None else (text,), replaces=True, place=place)


def _names(labels: Iterable[str]) -> str:
    names = list(dict.fromkeys(labels))
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + more


def _shown(timer: Timeout) -> str:
    return haproxy_time(timer.ns) if timer.ns is not None else timer.text
