"""Findings about the way of a tunnel: timers that rules set on it, and hops that follow each other. Pure."""

import re
from collections.abc import Iterator

from wsload.haproxy.cfg_finding import Finding, Severity, below, instead
from wsload.haproxy.cfg_routes import Route
from wsload.haproxy.cfg_sections import BACK_KINDS, FRONT_KINDS, SectionKind
from wsload.haproxy.cfg_tunnels import About, idle_timer, is_unconditional

_ADDRESS_KIND = re.compile(r"^(?:ipv4|ipv6|unix)@")
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_ANY_ADDRESS = ("", "*", "0.0.0.0", "::", "[::]", "127.0.0.1", "localhost")


def set_timeouts(about: About) -> Iterator[Finding]:
    """Rules for the tunnel timer that never count, or that newer releases drop."""
    for section in about.config.of(*FRONT_KINDS, *BACK_KINDS):
        rules = section.tunnel_rules
        last = next((rule for rule in reversed(rules) if is_unconditional(rule)), None)
        later = f"Line {last.number}" if last is not None else ""
        for rule in rules[: rules.index(last)] if last is not None else ():
            yield Finding(
                line=rule.number,
                severity=Severity.RISKY,
                title=f"`{' '.join(rule.words[:4])}` never counts",
                effect=f"{later} comes later, always applies, and the last one wins.",
                fix=instead(rule.number, None, rule.section),
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
                    fix=below(route.backend, " ".join(rule.words[:4])),
                )


def chained_hops(about: About) -> Iterator[Finding]:
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
            ours, theirs = idle_timer(outer, about), idle_timer(inner, about)
            if ours is None or theirs is None or not ours.ns or not theirs.ns or ours.ns == theirs.ns:
                continue
            shorter, longer = sorted((ours, theirs), key=lambda timer: timer.ns or 0)
            remedy = (
                instead(shorter.line.number, f"timeout tunnel {longer.text}", shorter.line.section)
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


def _addresses(words: tuple[str, ...], local_hosts: tuple[str, ...]) -> Iterator[str]:
    """An address as written; and ``local:PORT`` where its host is this machine."""
    for word in words:
        address = _ADDRESS_KIND.sub("", word)
        yield address
        host, colon, port = address.rpartition(":")
        if colon and host in local_hosts:
            yield f"local:{port}"
