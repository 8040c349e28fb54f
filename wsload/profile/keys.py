"""The tables of keys: what a profile may say, how each value is read, and where it goes.

A new key is one new row here (and a field in :mod:`wsload.profile.model`).
"""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import NamedTuple

from wsload.errors import ProfileError
from wsload.profile.distributions import distribution
from wsload.profile.model import (
    TIMEOUT_NAMES,
    Arrivals,
    BackendMode,
    EndsWith,
    Match,
    Reconnect,
    Reply,
    Traffic,
    Via,
)
from wsload.profile.overrides import FLAG
from wsload.profile.values import (
    MAX_PORT,
    Parser,
    address_range,
    choice,
    close_code,
    cohort_name,
    core_numbers,
    count,
    duration,
    haproxy_timeout,
    headers,
    host_port,
    memory,
    non_empty_text,
    or_word,
    port_range,
    portion,
    rate,
    refusal_status,
    request_path,
    share,
    share_rate,
    shown,
    size,
    subprotocol,
    text,
    texts,
    truth,
    ws_url,
)
from wsload.units import NS_PER_MS, UnitError


class Key(NamedTuple):
    """One row: the model's field and the parser of the value."""

    field: str
    parse: Parser


Keys = Mapping[str, Key]

MOST_PROCESSES = 1000
"""Driver workers, or backend processes."""

MOST_HAPROXY_PROCESSES = 254
"""Each has a source address of its own in 127.0.1.0/24."""

_PORT = or_word("auto", count(8080, least=1, most=MAX_PORT))
_MOST_TUNNELS = 50_000_000  # tunnel ids travel as 32-bit numbers; two million is the field's record
_MOST_SEED = 2**63 - 1

TOP: Keys = {
    "title": Key("title", non_empty_text),
    "description": Key("description", text),
}
TARGET: Keys = {
    "via": Key("via", choice(Via)),
    "url": Key("urls", texts(ws_url)),
    "path": Key("path", request_path),
    "headers": Key("headers", headers),
    "subprotocols": Key("subprotocols", texts(subprotocol)),
    "sources": Key("sources", or_word("auto", texts(address_range), ())),
}
HAPROXY: Keys = {
    "binary": Key("binary", non_empty_text),
    "port": Key("port", _PORT),
    "maxconn": Key("maxconn", count(5000)),
    "threads": Key("threads", count(1)),
    "processes": Key("processes", count(1, most=MOST_HAPROXY_PROCESSES)),
    "source_ports": Key("source_ports", port_range),
    "nofile": Key("nofile", count(1000, least=100)),
    "memory": Key("memory_bytes", memory),
    "cpus": Key("cpus", core_numbers),
}
TIMEOUTS: Keys = {name: Key(name, haproxy_timeout) for name in TIMEOUT_NAMES}
BACKEND: Keys = {
    "mode": Key("mode", choice(BackendMode)),
    "servers": Key("servers", texts(host_port)),
    "port": Key("port", _PORT),
    "processes": Key("processes", count(1, most=MOST_PROCESSES)),
    "reply": Key("reply", choice(Reply)),
    "push_rate": Key("push_rate_per_s", rate),
    "push_payload": Key("push_payload_bytes", size),
    "idle_close": Key("idle_close_ns", duration("30s")),
    "idle_close_share": Key("idle_close_share", portion("50%")),
    "ends_after": Key("ends_after_ns", duration("30s")),
    "ends_with": Key("ends_with", choice(EndsWith)),
    "ends_share": Key("ends_share", portion("50%")),
    "close_code": Key("close_code", close_code),
    "ignore_fin": Key("ignore_fin", truth),
    "upgrade_delay": Key("upgrade_delay_ns", duration("2s")),
    "upgrade_missing": Key("upgrade_missing_share", portion("5%")),
    "refuse": Key("refuse_share", portion("5%")),
    "refuse_status": Key("refuse_status", refusal_status),
}
LOAD: Keys = {
    "tunnels": Key("tunnels", count(5000, most=_MOST_TUNNELS)),
    "ramp": Key("ramp_ns", duration("10s")),
    "ramp_rate": Key("ramp_rate", rate),  # becomes ramp_ns in wsload.profile.load
    "arrivals": Key("arrivals", choice(Arrivals)),
    "hold": Key("hold_ns", duration("60s", least_ns=1)),
    "drain": Key("drain_ns", duration("5s")),
    "workers": Key("workers", or_word("auto", count(2, most=MOST_PROCESSES))),
    "interval": Key("interval_ns", duration("1s", least_ns=100 * NS_PER_MS)),
    "handshake_timeout": Key("handshake_timeout_ns", duration("10s", least_ns=1)),
    "pin": Key("pin", truth),
    "seed": Key("seed", count(1, least=0, most=_MOST_SEED)),
    "lag_limit": Key("lag_limit_ns", duration("50ms", least_ns=1)),
    "timer_slack": Key("timer_slack_ns", duration("200us")),
}
COHORT: Keys = {
    "name": Key("name", cohort_name),
    "share": Key("share", share),
    "traffic": Key("traffic", choice(Traffic)),
    "rate": Key("rate_per_s", or_word("max", rate)),
    "arrivals": Key("arrivals", choice(Arrivals)),
    "payload": Key("payload_bytes", size),
    "match": Key("match", choice(Match)),
    "every": Key("every_ns", duration("20s", least_ns=1)),
    "after": Key("after_ns", duration("1s", least_ns=1)),
    "gaps": Key("gaps", distribution),
    "ping_loss": Key("ping_loss", portion("20%")),
    "reconnect": Key("reconnect", choice(Reconnect)),
    "vanish": Key("vanish_per_s", share_rate),
    "session": Key("session", distribution),
    "tunnel_timeout": Key("tunnel_timeout_ns", haproxy_timeout),
}
CAPACITY: Keys = {
    "from": Key("least", count(1000, most=_MOST_TUNNELS)),
    "to": Key("most", count(5000, most=_MOST_TUNNELS)),
    "step": Key("step", or_word("bisect", count(500))),
    "resolution": Key("resolution", count(50)),
    "plateau": Key("plateau_ns", or_word("auto", duration("30s", least_ns=1))),
    "judge": Key("judge_ns", or_word("auto", duration("10s", least_ns=1))),
}

TABLES: dict[str, Keys] = {
    "": TOP,
    "target": TARGET,
    "haproxy": HAPROXY,
    "haproxy.timeouts": TIMEOUTS,
    "backend": BACKEND,
    "load": LOAD,
    "cohort[]": COHORT,
    "capacity": CAPACITY,
}
SUBTABLES: dict[str, tuple[str, ...]] = {
    "": ("target", "haproxy", "backend", "load", "cohort", "capacity", "slo", "expect"),
    "haproxy": ("timeouts",),
}
"""Names in a table that are tables themselves; each is read by its own rows."""


class Origin(NamedTuple):
    """Which file a value is from, and which paths a ``--set`` has put there instead."""

    where: str
    overridden: tuple[str, ...] = ()

    def error(self, path: str, problem: str, fix: str) -> ProfileError:
        """An error at ``path`` (dotted), naming the flag where the value came from one."""
        ours = any(path == each or path.startswith((f"{each}.", f"{each}[")) for each in self.overridden)
        return ProfileError(FLAG if ours else self.where, path, problem, fix)


def read_keys(raw: Mapping[str, object], table: str, path: str, origin: Origin) -> dict[str, object]:
    """The fields that one table of a profile sets.

    Args:
        raw: The table as tomllib gives it.
        table: Its name in :data:`TABLES`.
        path: Its dotted path for messages, ``cohort[1]``; empty for the top.
        origin: Where it is from.

    Returns:
        Field name of the model -> parsed value, for the keys that are there.

    Raises:
        ProfileError: An unknown key, or a value that its row's parser refuses.
    """
    rows, subtables = TABLES[table], SUBTABLES.get(table, ())
    fields: dict[str, object] = {}
    for name, value in raw.items():
        if name in subtables:
            continue
        dotted = f"{path}.{name}" if path else name
        if name not in rows:
            raise origin.error(dotted, "unknown key", _suggestion(name, table, path))
        try:
            fields[rows[name].field] = rows[name].parse(value)
        except UnitError as error:
            raise origin.error(dotted, error.problem, error.fix) from None
    return fields


def sub_table(raw: Mapping[str, object], name: str, path: str, origin: Origin) -> dict[str, object]:
    """The table ``name`` in ``raw``, empty where there is none. Raises :class:`ProfileError`."""
    value = raw.get(name, {})
    if isinstance(value, dict):
        return value
    dotted = f"{path}.{name}" if path else name
    raise origin.error(dotted, f"{shown(value)} is no table", f"write [{dotted}] and its keys below")


def _suggestion(name: str, table: str, path: str) -> str:
    """The nearest known key: of the same table first, then of any other, where a key was merely misplaced."""
    prefix = f"{path}." if path else ""
    here = (*TABLES[table], *SUBTABLES.get(table, ()))
    elsewhere = {
        leaf: f"{other}.{leaf}" for other, rows in TABLES.items() if other and other != table for leaf in rows
    }
    if name in elsewhere:
        return f"did you mean {elsewhere[name]}?"
    if near := get_close_matches(name, here, n=1, cutoff=0.6):
        return f"did you mean {prefix}{near[0]}?"
    if near := get_close_matches(name, elsewhere, n=1, cutoff=0.6):
        return f"did you mean {elsewhere[near[0]]}?"
    return f"known here: {', '.join(here)}"
