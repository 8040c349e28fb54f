"""Findings about the timers of tunnels, and about what switches these timers off. Pure."""

from collections.abc import Iterator

from wsload.haproxy.cfg_finding import Finding, Severity, below, by_home, home_of, instead, joined
from wsload.haproxy.cfg_lines import Line, parse_time_ns
from wsload.haproxy.cfg_routes import Route
from wsload.haproxy.cfg_sections import BACK_KINDS, FRONT_KINDS, Section, SectionKind, Timeout
from wsload.haproxy.cfg_tunnels import About, idle_end, in_force, tunnel_backends, tunnel_timer
from wsload.units import NS_PER_MS, NS_PER_S, haproxy_time

TUNNEL_LINE = "timeout tunnel 1h"
"""The manual's own example."""

FIN_LINE = "timeout server-fin 30s"

TUNNEL_IN_FRONTEND = "`timeout tunnel` in a frontend"
BARE_NUMBER = "a bare number"

_LONGEST_NS = 2_147_483_647 * NS_PER_MS
_LONG_NS = 12 * 3600 * NS_PER_S
_TOO_SHORT_NS = {"tunnel": 60 * NS_PER_S, "client": NS_PER_S, "server": NS_PER_S}
_TOO_SHORT_ELSE_NS = 100 * NS_PER_MS
"""A bare number below these was surely meant as seconds."""

_SERVER_PUSHES = "its server pushes and its client is silent (cD)"
_CLIENT_SENDS = "its client sends and its server is silent (sD)"
_FIN_WORKS = "`timeout server-fin` ends it sooner; `timeout client-fin` alone does not."
_FIN_IDLE = (
    "On HAProxy {version} neither `server-fin` nor `client-fin` shortens that for HTTP (on 2.6 `server-fin` "
    "does): keep `timeout tunnel` short, and let clients or servers ping."
)


def no_tunnel(about: About) -> Iterator[Finding]:
    """No ``timeout tunnel``, or one of 0: backends that share the reason and the remedy make one finding."""
    groups: dict[tuple[int, int, str, bool, str], list[Route]] = {}
    none_told = not any(route.websocket for route in about.config.routes)
    for route in about.config.routes:
        timer = tunnel_timer(route, about)
        is_zero = isinstance(timer, Timeout) and not in_force(timer)
        if is_zero or (timer is None and (route.websocket or none_told)):
            home = route.backend.parent or route.backend
            zero = timer.line.number if isinstance(timer, Timeout) else 0
            key = (zero, home.line, route.backend.mode, route.websocket, idle_end(route).words)
            groups.setdefault(key, []).append(route)
    for routes in groups.values():
        yield _no_tunnel_finding(routes)


def _no_tunnel_finding(routes: list[Route]) -> Finding:
    first = routes[0]
    backends = list({route.backend.line: route.backend for route in routes}.values())
    mode, zero, home = first.backend.mode, first.backend.timeouts.get("tunnel"), home_of(backends)
    effect = idle_end(first).words
    if zero is not None:
        effect = f"0 switches it off, silently. {effect}"
    if not first.websocket and zero is None:
        effect += f" No rule tells which route carries WebSockets, so every mode-{mode} one counts."
    names = joined([backend.label for backend in backends])
    return Finding(
        line=home.line if zero is None else zero.line.number,
        severity=Severity.HARMFUL
        if mode == "http" or first.websocket or zero is not None
        else Severity.RISKY,
        title=f"no `timeout tunnel`: {names}" if zero is None else f"`timeout tunnel {zero.text}`: {names}",
        effect=effect,
        fix=below(home, TUNNEL_LINE)
        if zero is None
        else instead(zero.line.number, TUNNEL_LINE, zero.line.section),
    )


def client_and_server_differ(about: About) -> Iterator[Finding]:
    """The longer one of client and server does not keep tunnels, where no tunnel timer does."""
    seen = set()
    for route in about.routes:
        timer = tunnel_timer(route, about)
        client, server = route.frontend.timeouts.get("client"), route.backend.timeouts.get("server")
        if (isinstance(timer, Line) or in_force(timer)) or client is None or server is None:
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
            fix=below(route.backend.parent or route.backend, TUNNEL_LINE),
        )


def bare_numbers(about: About) -> Iterator[Finding]:
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
                title=f"{BARE_NUMBER}: `{' '.join(line.text.split())}`",
                effect=f"It is milliseconds: {haproxy_time(ns)}." + (" Seconds were meant?" if short else ""),
                fix=instead(line.number, line.text.replace(text, meant, 1), section.label),
            )


def _name_and_time(words: tuple[str, ...]) -> tuple[str, str]:
    """Which timer a line sets, and to what; empty where it sets none."""
    at = 2 if words[0] == "timeout" else 3 if words[1:2] == ("set-timeout",) else 1
    is_timer = words[0] in ("timeout", "hard-stop-after") or at == 3
    return (words[at - 1], words[at]) if is_timer and len(words) > at else ("", "")


def tunnel_in_frontend(about: About) -> Iterator[Finding]:
    """HAProxy ignores ``timeout tunnel`` in a frontend."""
    for section in about.config.of(SectionKind.FRONTEND):
        for line in section.own_lines:
            if line.words[:2] == ("timeout", "tunnel"):
                yield Finding(
                    line=line.number,
                    severity=Severity.RISKY,
                    title=TUNNEL_IN_FRONTEND,
                    effect="HAProxy ignores it there, with a warning: the backend's timer counts. Move the "
                    "line to the backend, or to the `defaults` that the backend inherits from.",
                    fix=instead(line.number, None, section.label),
                )


def long_tunnels(about: About) -> Iterator[Finding]:
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
                    fix=instead(line.number, f"timeout {line.words[1]} 24d", section.label),
                )
    for route in about.routes:
        timer = tunnel_timer(route, about)
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
                fix=below(route.frontend, "option clitcpka", "clitcpka-idle 60s", "clitcpka-intvl 20s"),
            )


def _has_keepalive(frontend: Section) -> bool:
    options = any(frontend.option(name) for name in ("clitcpka", "tcpka"))
    return options or (bool(frontend.binds) and all("tcp-ut" in bind.words for bind in frontend.binds))


def independent_streams(about: About) -> Iterator[Finding]:
    """``option independent-streams`` cuts tunnels that carry bytes in one direction only."""
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
            fix=instead(number, None, places[number]),
        )


def half_closed(about: About) -> Iterator[Finding]:
    """No server-fin timer: nothing hurries a server whose client has closed."""
    lacking = [section for section in tunnel_backends(about) if "server-fin" not in section.timeouts]
    for home, sections in by_home(lacking):
        mode = sections[0].mode
        works = mode == "tcp" or about.release < (3, 0)
        yield Finding(
            line=home.line,
            severity=Severity.RISKY if works else Severity.HINT,
            title=f"no `timeout server-fin`: {joined([section.label for section in sections])}",
            effect="A tunnel whose client has closed and whose server has not is held for the whole tunnel "
            "timeout. " + (_FIN_WORKS if works else _FIN_IDLE.format(version=about.version)),
            fix=below(home, FIN_LINE) if works else None,
        )
