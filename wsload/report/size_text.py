"""An answer of ``wsload size`` as text for a terminal, and as JSON."""

import math
from collections.abc import Iterator
from typing import Any

import msgspec
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from wsload.analysis.sizing.answer import SCHEMA, Answer
from wsload.analysis.sizing.constraints import Constraint
from wsload.profile.model import TIMEOUT_NAMES
from wsload.report.size_lines import haproxy_cfg, sysctl_lines, systemd_lines
from wsload.report.text import render
from wsload.units import (
    NS_PER_S,
    format_count,
    format_duration,
    format_many,
    format_share,
    format_size,
    haproxy_time,
)

_INDENT = (0, 0, 0, 2)
_BINDS = "▸"


def size_text(answer: Answer, color: bool = False, width: int = 100) -> str:
    """All of it, the answer first. ``width`` in columns, good from 80."""
    parts: list[RenderableType] = [_question(answer), *_answer(answer), ""]
    parts += [_heading("one node, at the peak"), _table(answer), ""]
    if answer.broken:
        parts += [_heading("what would help"), *_remedies(answer), ""]
    parts += [_heading("after a cut of all tunnels"), _padded(_storm(answer)), ""]
    parts += [_heading("what this rests on"), *_basis(answer), ""]
    for head, text in (
        ("haproxy.cfg", haproxy_cfg(answer)),
        ("sysctl, /etc/sysctl.d/90-haproxy.conf", "\n".join(sysctl_lines(answer))),
        ("systemd, haproxy.service.d/limits.conf", systemd_lines(answer)),
    ):
        parts += [_heading(head), _padded(Text(text.rstrip("\n"), no_wrap=True)), ""]
    return render(parts[:-1], color, width)


def size_json(answer: Answer) -> str:
    """The same as indented JSON: ``wsload.size/1``. Durations are in ns where the name says so."""
    built: dict[str, Any] = {"schema": SCHEMA, **msgspec.to_builtins(answer)}
    built["constraints"] = [
        {**msgspec.to_builtins(row), "utilisation": _finite(row.utilisation), "ok": row.ok}
        for row in answer.constraints
    ]
    built["haproxy_cfg"] = haproxy_cfg(answer)
    built["sysctl"] = sysctl_lines(answer)
    built["systemd"] = systemd_lines(answer)
    return msgspec.json.format(msgspec.json.encode(built), indent=2).decode("utf-8")


def misfit(answer: Answer) -> str:
    """One line on what does not fit, and what to type; empty where all does."""
    if answer.fits:
        return ""
    names = ", ".join(row.name for row in answer.broken)
    given = answer.question.nodes
    if answer.nodes_needed is None:
        never = ", ".join(answer.impossible)
        return f"does not fit on any number of such nodes: {never}; give a node more"
    return (
        f"does not fit on {format_many(given or answer.nodes, 'node')}: {names}; "
        f"type --nodes {answer.nodes_needed}, or give a node more"
    )


def _heading(text: str) -> Text:
    return Text(text, style="dim")


def _padded(text: RenderableType) -> RenderableType:
    return Padding(text, _INDENT)


def _question(answer: Answer) -> Text:
    fleet = answer.question.fleet
    timers = ", ".join(
        f"{name} {haproxy_time(fleet.timeouts_ns[name])}"
        for name in TIMEOUT_NAMES
        if name in fleet.timeouts_ns and name in ("tunnel", "client", "server")
    )
    parts = [
        f"{format_count(fleet.tunnels)} tunnels at the peak",
        f"timeout {timers}" if timers else "no timeouts",
        f"HAProxy {answer.question.costs.release}",
        "TLS" if fleet.tls else "",
    ]
    return Text(" · ".join(filter(None, parts)), style="bold")


def _answer(answer: Answer) -> Iterator[RenderableType]:
    spare = answer.question.spare
    carrying = answer.nodes - spare
    nodes = format_many(answer.nodes, "node")
    if spare:
        nodes += f", of which {format_count(carrying)} must carry it and {format_count(spare)} may be out"
    yield Text(nodes)
    gone = [
        f" + {format_count(number)} {word}"
        for number, word in ((answer.ghosts, "ghosts"), (answer.half_open, "half-open"))
        if number
    ]
    slots = f"{''.join(gone)} = {format_count(answer.slots)} slots" if gone else ""
    each = " on each" if carrying > 1 else ""
    yield Text(f"{format_count(answer.tunnels)} tunnels{each}{slots}; maxconn {format_count(answer.maxconn)}")
    if answer.fits:
        fewer = answer.nodes_needed is not None and answer.nodes_needed < answer.nodes
        tail = f"; {format_many(answer.nodes_needed or 0, 'node')} would do" if fewer else ""
        yield Text(f"fits; {answer.binding} binds first{tail}", style="bold green")
        return
    yield Text(misfit(answer).replace("does not fit", "DOES NOT FIT", 1), style="bold red")


def _table(answer: Answer) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("")
    table.add_column("")
    for name in ("needed", "there is", "used"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for row in answer.constraints:
        style = "bold red" if not row.ok else ""
        table.add_row(
            _BINDS if row.name == answer.binding else "",
            Text(row.name, style=style or ("dim" if row.shown_only else "")),
            Text(_amount(row.needed, row.unit), style=style),
            Text(_amount(row.available, row.unit)),
            Text(_used(row), style=style),
            Text(_mark(row, answer), style=style or "dim"),
        )
    return table


def _used(row: Constraint) -> str:
    used = row.utilisation
    if used is None or not math.isfinite(used):
        return "-"
    return f"{100 * used:.3g}%" if used < 9.995 else f"{format_count(100 * used)}%"


def _mark(row: Constraint, answer: Answer) -> str:
    if not row.ok:
        return "✗ too little"
    if row.name == answer.binding:
        return "binds first"
    if row.available is None:
        return "no limit given"
    return "proposed" if row.unit == "slots" and row.shown_only else ""


def _remedies(answer: Answer) -> Iterator[RenderableType]:
    for row in answer.broken:
        yield _padded(Text(f"{row.name}: {row.remedy}"))


def _storm(answer: Answer) -> Text:
    window = format_duration(answer.question.fleet.reconnect_window_ns)
    return Text(
        f"{format_count(answer.tunnels)} clients of a node that come back within {window} make "
        f"{format_count(answer.storm_per_s)} openings a second; it takes up to "
        f"{format_count(answer.accepts_per_s)}: all are back after "
        f"{format_duration(round(answer.recovery_s * NS_PER_S))}"
    )


def _basis(answer: Answer) -> Iterator[RenderableType]:
    costs, fleet = answer.question.costs, answer.question.fleet
    each = costs.tunnel_bytes + (costs.tls_bytes if fleet.tls else 0)
    lines = [
        f"a tunnel: {format_size(each)} in HAProxy, {format_size(2 * costs.socket_bytes)} in the kernel "
        f"({costs.origin})",
        f"{format_share(answer.question.reserve)} of each limit stays free",
    ]
    if answer.messages_per_s or answer.openings_per_s:
        lines.append(
            f"{_rate(answer.messages_per_s)} messages and {_rate(answer.openings_per_s)} openings a second"
        )
    for line in (*lines, *answer.notes):
        yield _padded(Text(line))


def _amount(number: float | None, unit: str) -> str:
    if number is None:
        return "-"
    if unit == "bytes":
        return format_size(number)
    if unit == "cores":
        return f"{number:.3g} {'core' if number == 1 else 'cores'}"
    return _rate(number) + "/s" if unit == "1/s" else _count(number)


def _count(number: float) -> str:
    return "no limit" if number >= 2**60 else format_count(number)


def _rate(per_s: float) -> str:
    return format_count(per_s) if per_s >= 10 else f"{per_s:.2g}"


def _finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None
