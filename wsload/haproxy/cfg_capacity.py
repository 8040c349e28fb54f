"""Findings about room: connections, descriptors, reloads, queues, and servers that are down. Pure."""

from collections.abc import Iterator

from wsload.haproxy.cfg_finding import Finding, Severity, below, by_home, global_section, instead, joined
from wsload.haproxy.cfg_lines import Line, number_after
from wsload.haproxy.cfg_reader import Config
from wsload.haproxy.cfg_sections import FRONT_KINDS, Section
from wsload.haproxy.cfg_tunnels import About, in_force, tunnel_backends
from wsload.plan.preflight import HAPROXY_DESCRIPTORS
from wsload.units import format_count

DOWN_LINE = "default-server on-marked-down shutdown-sessions"


def no_maxconn(about: About) -> Iterator[Finding]:
    """No ``maxconn`` in ``global``: descriptors decide."""
    if _maxconn(about.config) is not None:
        return
    config, limit = about.config, about.nofile_hard
    bound = config.global_line("fd-hard-limit")
    if bound is not None:
        limit = min(limit, number_after(bound.words, "fd-hard-limit") or limit)
    carried, home = _connections(limit), global_section(config)
    yield Finding(
        line=home.line if home is not None else 0,
        severity=Severity.RISKY,
        title="no `maxconn` in `global`",
        effect="The descriptor limit of whoever starts HAProxy decides how many connections it takes: with "
        f"{format_count(limit)} about {format_count(carried)}, as each takes two.",
        fix=below(home, f"maxconn {_rounded(carried)}"),
    )


def descriptors(about: About) -> Iterator[Finding]:
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
                fix=instead(bound.number, f"{keyword} {needed}", bound.section),
            )
    if limit < needed:
        yield Finding(
            line=line.number,
            severity=Severity.RISKY,
            title=f"`maxconn {maxconn}` is more than this machine's descriptors",
            effect=f"It needs {format_count(needed)}; the hard limit is {format_count(limit)}. With that "
            "HAProxy passes its own check and does not start (`Cannot raise FD limit`). Raise the limit "
            f"(systemd: LimitNOFILE={needed}), or lower maxconn.",
            fix=instead(line.number, f"maxconn {_rounded(_connections(limit))}", line.section),
        )


def frontend_maxconn(about: About) -> Iterator[Finding]:
    """A listener's maxconn over the process's."""
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
            fix=instead(own[1].number, f"maxconn {whole[0]}", own[1].section),
        )


def _maxconn(config: Config) -> tuple[int, Line] | None:
    line = config.global_line("maxconn")
    number = number_after(line.words, "maxconn") if line is not None else None
    return (number, line) if line is not None and number else None


def _connections(descriptors: int) -> int:
    return max(descriptors - HAPROXY_DESCRIPTORS, 0) // 2


def _rounded(connections: int) -> int:
    return connections // 100 * 100 or max(connections, 1)


def reloads(about: About) -> Iterator[Finding]:
    """No ``hard-stop-after``: old processes stay after reloads."""
    home = global_section(about.config)
    if about.config.global_line("hard-stop-after") is None:
        yield Finding(
            line=home.line if home is not None else 0,
            severity=Severity.RISKY,
            title="no `hard-stop-after`",
            effect="After a reload the old process lives as long as its last tunnel, with its memory and "
            "descriptors; frequent reloads pile them up. `mworker-max-reloads` bounds only their number.",
            fix=below(home, "hard-stop-after 1h"),
        )


def server_queues(about: About) -> Iterator[Finding]:
    """Server slots that tunnels never leave, and no timeout for who waits for one."""
    for section in tunnel_backends(about):
        limited = [
            line
            for line in (*section.servers, *section.starting("default-server"))
            if "maxconn" in line.words
        ]
        if not limited or in_force(section.timeouts.get("queue")):
            continue
        connect = section.timeouts.get("connect")
        wait = f"`timeout connect {connect.text}`" if connect is not None and connect.ns else "no time limit"
        yield Finding(
            line=limited[0].number,
            severity=Severity.RISKY,
            title=f"server `maxconn` and no `timeout queue`: {section.label}",
            effect="A tunnel holds its server slot for its whole life. The next one waits in the queue, for "
            f"{wait} in place of a queue timeout, then gets a 503 (sQ).",
            fix=below(section, "timeout queue 10s"),
        )


def health_checks(about: About) -> Iterator[Finding]:
    """Checked servers that keep their tunnels when they go down."""
    careless = [section for section in tunnel_backends(about) if any(_keeps_tunnels(section))]
    for home, sections in by_home(careless):
        yield Finding(
            line=next(_keeps_tunnels(sections[0])).number,
            severity=Severity.HINT,
            title=f"a server that is DOWN keeps its tunnels: {joined([part.label for part in sections])}",
            effect="Checks stop new tunnels only. The open ones stay with the dead server until a timer ends "
            "them; with this they end at once, and clients reconnect elsewhere.",
            fix=below(home, DOWN_LINE),
        )


def _keeps_tunnels(section: Section) -> Iterator[Line]:
    """Servers that are checked, and whose tunnels outlive a failed check."""
    common = [word for line in section.starting("default-server") for word in line.words]
    for server in section.servers:
        words = (*common, *server.words)
        if "check" in words and "shutdown-sessions" not in words:
            yield server
