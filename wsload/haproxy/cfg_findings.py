"""What in a ``haproxy.cfg`` hurts WebSocket tunnels, and what to write instead. Pure.

What each finding says was seen on HAProxy 2.6.12, 3.0.11 and 3.2.26 in clear text (haproxy-facts.md), or else
is the configuration manual's.
"""

import re
from collections.abc import Callable, Iterable, Iterator

from wsload.haproxy import cfg_capacity, cfg_hops, cfg_timers
from wsload.haproxy.cfg_finding import Finding, Severity
from wsload.haproxy.cfg_reader import Config
from wsload.haproxy.cfg_tunnels import About, tunnel_routes

_ALERT = re.compile(
    r"\[(ALERT|WARNING)\]\s+\(\d+\) : (?:config : )?(?:parsing \[.*?:(\d+)\]\s*: )?(.*)", re.DOTALL
)
_ABSENT = re.compile(
    r"cannot find (?:user|group) id|No such file|unable to (?:stat|load|open)|failed to open|not resolve"
)
_BOILERPLATE = ("Error(s) found in configuration file", "Fatal errors found in configuration")
_SAID_BY_BOTH = (
    (cfg_timers.TUNNEL_IN_FRONTEND, "ignored because frontend"),
    (cfg_timers.BARE_NUMBER, "suspiciously small"),  # from 3.2 on, for some of them
)


def find(config: Config, *, version: str, nofile_hard: int) -> list[Finding]:
    """All findings in a file, by line.

    Args:
        config: The file.
        version: HAProxy's, ``2.6.12``: some settings do different things in different releases.
        nofile_hard: The hard descriptor limit of a process on this machine.
    """
    about = About(
        config=config,
        routes=tunnel_routes(config),
        version=version,
        release=tuple(int(part) for part in re.findall(r"\d+", version)[:2]),
        nofile_hard=nofile_hard,
    )
    found = [finding for check in _CHECKS for finding in check(about)]
    return sorted(found, key=lambda finding: finding.line)


def haproxy_findings(status: int, words: str) -> list[Finding]:
    """What ``haproxy -c`` said, as findings: what it rejects is harmful, of what it only warns is risky."""
    found = []
    for block in re.split(r"^(?=\[)", words, flags=re.MULTILINE):
        match = _ALERT.match(block.strip())
        if match is None or any(phrase in match[3] for phrase in _BOILERPLATE):
            continue
        rejects = match[1] == "ALERT" and status != 0  # 2.6.12 says ALERT also of files it takes
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


def _conditions(about: About) -> Iterator[Finding]:
    for number in about.config.unknown_conditions:
        yield Finding(
            line=number,
            severity=Severity.HINT,
            title="a condition only HAProxy can decide",
            effect="Lines of all its branches are read here as if they were in force; the last one counts.",
        )


_CHECKS: tuple[Callable[[About], Iterator[Finding]], ...] = (
    cfg_timers.no_tunnel,
    cfg_timers.client_and_server_differ,
    cfg_timers.bare_numbers,
    cfg_timers.tunnel_in_frontend,
    cfg_timers.long_tunnels,
    cfg_timers.independent_streams,
    cfg_capacity.no_maxconn,
    cfg_capacity.descriptors,
    cfg_capacity.frontend_maxconn,
    cfg_timers.half_closed,
    cfg_capacity.reloads,
    cfg_capacity.server_queues,
    cfg_hops.set_timeouts,
    cfg_hops.chained_hops,
    cfg_capacity.health_checks,
    _conditions,
)
