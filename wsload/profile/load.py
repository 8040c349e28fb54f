"""TOML text and ``--set`` overrides to a frozen :class:`~wsload.profile.model.Profile`.

Every refusal is a :class:`~wsload.errors.ProfileError` naming the file (or ``--set``), the dotted path of
the key, what was wrong and what to write. The rows of keys are in :mod:`wsload.profile.keys`, single values
in :mod:`~wsload.profile.values`, what keys must be to each other in :mod:`~wsload.profile.rules`.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from wsload.errors import ProfileError
from wsload.profile.expectations import parse_expectation
from wsload.profile.keys import Origin, read_keys, sub_table
from wsload.profile.model import (
    DEFAULT_TIMEOUTS_NS,
    TIMEOUT_NAMES,
    Backend,
    Capacity,
    Cohort,
    Expectation,
    Haproxy,
    Load,
    Profile,
    Slo,
    Struct,
    Target,
)
from wsload.profile.overrides import apply_overrides
from wsload.profile.plateaus import longest_hold_ns
from wsload.profile.rules import breaches
from wsload.profile.shipped import missing_file_error
from wsload.profile.slo_grammar import parse_metric, parse_slo
from wsload.profile.values import MAX_DURATION_NS, shown
from wsload.profile.values import text as any_text
from wsload.units import NS_PER_S, UnitError

_POSITION = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)
_UNQUOTED = re.compile(r"""^\s*([\w.-]+)\s*=\s*(\d[\w.]*(?:[a-zA-Z%]|/\w+))\s*(?:#.*)?$""")
_CAMPAIGN_KEYS = ("profile", "repeat", "parallel", "control", "set", "grid")

Raw = Mapping[str, object]
Fields = dict[str, Any]


class LoadedProfile(Struct, frozen=True, kw_only=True):
    """A profile, with what it came from: the file's text verbatim, and the overrides put over it."""

    profile: Profile
    text: str
    overrides: tuple[str, ...] = ()


def load_profile(path: Path, overrides: Sequence[str] = ()) -> LoadedProfile:
    """Read a profile's file. Raises :class:`ProfileError`."""
    text = read_text(path)
    return LoadedProfile(
        profile=parse_profile(text, str(path), overrides), text=text, overrides=tuple(overrides)
    )


def parse_profile(text: str, where: str, overrides: Sequence[str] = ()) -> Profile:
    """Read a profile's text.

    Args:
        text: TOML.
        where: The file's name, for messages; its stem is the title of a profile that has none.
        overrides: ``KEY=VALUE``, dotted keys as in TOML, ``cohort[1].rate=5/s`` or
            ``cohort.chatty.rate=5/s``; VALUE is a TOML value, or bare text.

    Raises:
        ProfileError: See the module.
    """
    raw = read_toml(text, where)
    origin = Origin(where, apply_overrides(raw, overrides))
    if stray := [key for key in _CAMPAIGN_KEYS if key in raw]:
        raise origin.error(stray[0], "belongs to a campaign", f'run the file with "wsload campaign {where}"')
    cohorts = _cohorts(raw, origin)
    capacity = _capacity(raw, origin)
    load = _load(raw, origin, capacity)
    fields: Fields = {"title": Path(where).stem or "untitled", **read_keys(raw, "", "", origin)}
    profile = Profile(
        **fields,
        target=Target(**_section(raw, "target", origin)),
        haproxy=_haproxy(raw, origin, load.tunnels),
        backend=Backend(**_section(raw, "backend", origin)),
        load=load,
        cohorts=cohorts,
        capacity=capacity,
        slos=_slos(raw, origin, [cohort.name for cohort in cohorts]),
        expectations=_expectations(raw, origin, [cohort.name for cohort in cohorts], load),
    )
    for breach in breaches(profile, raw):
        raise origin.error(*breach)
    if capacity is None:
        return profile
    hold_ns = longest_hold_ns(profile, load)
    if hold_ns > MAX_DURATION_NS:
        fix = "search in larger steps, or write a plateau"
        raise origin.error("capacity", "the search would take more than ten years", fix)
    return msgspec.structs.replace(profile, load=msgspec.structs.replace(load, hold_ns=hold_ns))


def default_maxconn(tunnels: int, processes: int) -> int:
    """HAProxy's ``maxconn`` where a profile names none: just above what the load needs of each process.

    That is the next hundred above tunnels / processes, so that a few other connections (a health check,
    plain HTTP) still get a slot.
    """
    return (-(-tunnels // processes) // 100 + 1) * 100


def read_text(path: Path) -> str:
    """A file's text. Raises :class:`ProfileError` where it is missing, unreadable or not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise missing_file_error(path) from None
    except UnicodeDecodeError as error:
        raise ProfileError(str(path), "", f"is not UTF-8 at byte {error.start}", "save it as UTF-8") from None
    except OSError as error:
        raise ProfileError(
            str(path), "", f"cannot be read ({error.strerror})", "name a readable file"
        ) from None


def read_toml(text: str, where: str) -> dict[str, object]:
    """The TOML tree. Raises :class:`ProfileError`: ``file: line L, column C: what``."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = _POSITION.fullmatch(str(error))
        problem, line, column = match.groups() if match else (str(error), None, None)
        lines = text.split("\n")
        number = int(line) if line else len(lines)
        at = f"line {number}, column {column or len(lines[-1]) + 1}"
        written = _UNQUOTED.match(lines[number - 1].rstrip("\r"))
        fix = f'a value with a unit needs quotes: {written[1]} = "{written[2]}"' if written else ""
        raise ProfileError(where, at, problem, fix) from None


def _section(raw: Raw, name: str, origin: Origin) -> Fields:
    return read_keys(sub_table(raw, name, "", origin), name, name, origin)


def _capacity(raw: Raw, origin: Origin) -> Capacity | None:
    """None where the profile does not search. ``resolution`` defaults to a fiftieth of the way."""
    if "capacity" not in raw:
        return None
    fields = _section(raw, "capacity", origin)
    for key, field in (("from", "least"), ("to", "most")):
        if field not in fields:
            raise origin.error(f"capacity.{key}", "is missing", f"write {key} = 1000")
    least, most = fields["least"], fields["most"]
    if most < least:
        if "capacity.from" in origin.overridden and "capacity.to" not in origin.overridden:
            raise origin.error("capacity.from", f"{least} is above to = {most}", f"write {most} or less")
        raise origin.error("capacity.to", f"{most} is below from = {least}", f"write {least} or more")
    if fields.get("step") is not None and "resolution" in fields:
        over_file = [key for key in ("step", "resolution") if f"capacity.{key}" in origin.overridden]
        if len(over_file) != 1:
            raise origin.error("capacity.resolution", 'goes with step = "bisect"', "leave one of them out")
        del fields["resolution" if over_file == ["step"] else "step"]
    for key in ("step", "resolution"):
        if (fields.get(key) or 0) > most - least > 0:
            problem = f"{fields[key]} is more than the way from {least} to {most}"
            raise origin.error(f"capacity.{key}", problem, f"write {most - least} or less")
    fields.setdefault("resolution", max((most - least) // 50, 1))
    return Capacity(**fields)


def _load(raw: Raw, origin: Origin, capacity: Capacity | None) -> Load:
    """``ramp_rate`` says ``ramp`` as openings per second; a ``--set`` of one replaces the file's other.

    A search for capacity says itself how many tunnels there are and how long they are held.
    """
    fields = _section(raw, "load", origin)
    if capacity is not None:
        for key, field, instead in (
            ("tunnels", "tunnels", "write capacity.from and capacity.to"),
            ("hold", "hold_ns", "write capacity.plateau"),
        ):
            if field in fields:
                raise origin.error(f"load.{key}", "is what [capacity] works out", f"leave it out; {instead}")
        fields["tunnels"] = capacity.most
    if "ramp_ns" in fields and "ramp_rate" in fields:
        over_file = [key for key in ("ramp", "ramp_rate") if f"load.{key}" in origin.overridden]
        if len(over_file) != 1:
            problem = "ramp and ramp_rate are two ways to say one thing"
            raise origin.error("load.ramp_rate", problem, "leave one of them out")
        del fields["ramp_rate" if over_file == ["ramp"] else "ramp_ns"]
    ramp_rate = fields.pop("ramp_rate", None)
    if ramp_rate is None:
        return Load(**fields)
    ramp_ns = round(Load(**fields).tunnels / ramp_rate * NS_PER_S)
    if ramp_ns > MAX_DURATION_NS:
        raise origin.error("load.ramp_rate", "the ramp would take more than ten years", 'write "500/s"')
    return Load(**fields, ramp_ns=ramp_ns)


def _haproxy(raw: Raw, origin: Origin, tunnels: int) -> Haproxy:
    """Fills in the default timeouts and ``maxconn``; with ``nofile`` HAProxy works that out itself."""
    table = sub_table(raw, "haproxy", "", origin)
    fields: Fields = read_keys(table, "haproxy", "haproxy", origin)
    timeouts = sub_table(table, "timeouts", "haproxy", origin)
    given = read_keys(timeouts, "haproxy.timeouts", "haproxy.timeouts", origin)
    merged = {**DEFAULT_TIMEOUTS_NS, **given}
    fields["timeouts_ns"] = {name: merged[name] for name in TIMEOUT_NAMES if merged.get(name) is not None}
    if "nofile" not in fields:
        fields.setdefault("maxconn", default_maxconn(tunnels, int(fields.get("processes", 1))))
    return Haproxy(**fields)


def _cohorts(raw: Raw, origin: Origin) -> tuple[Cohort, ...]:
    tables = raw.get("cohort")
    if tables is None:
        return (Cohort(name="idle"),)
    if not isinstance(tables, list) or not tables:
        raise origin.error("cohort", "is no list of tables", "write [[cohort]] above each cohort's keys")
    cohorts = []
    for index, table in enumerate(tables):
        path = f"cohort[{index}]"
        if not isinstance(table, dict):
            raise origin.error(
                path, f"{shown(table)} is no table", "write [[cohort]] above each cohort's keys"
            )
        fields: Fields = read_keys(table, "cohort[]", path, origin)
        if "name" not in fields:
            raise origin.error(f"{path}.name", "is missing", f'write name = "{table.get("traffic", "idle")}"')
        cohorts.append(Cohort(**fields))
    return tuple(cohorts)


def _slos(raw: Raw, origin: Origin, cohort_names: list[str]) -> tuple[Slo, ...]:
    slos = []
    for key, value in sub_table(raw, "slo", "", origin).items():
        try:
            metric, cohort = parse_metric(key, cohort_names)
            assertions = [value] if isinstance(value, str) else value
            if not isinstance(assertions, list):
                raise UnitError(f"{shown(value)} is no list", 'write ["p(99)<50ms"]')
            slos += [parse_slo(metric, cohort, any_text(assertion)) for assertion in assertions]
        except UnitError as error:
            raise origin.error(f"slo.{key}", error.problem, error.fix) from None
    return tuple(slos)


def _expectations(raw: Raw, origin: Origin, cohort_names: list[str], load: Load) -> tuple[Expectation, ...]:
    expectations = []
    for cohort, table in sub_table(raw, "expect", "", origin).items():
        try:
            expectations.append(parse_expectation(cohort, table, cohort_names, load))
        except UnitError as error:
            raise origin.error(f"expect.{cohort}", error.problem, error.fix) from None
    return tuple(expectations)
