"""Timers as assertions: ``idle = { dies_at = "30s" }`` or ``{ survives = true }`` below ``[expect]``."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wsload.profile.model import CAUSES, Expectation, Load
from wsload.profile.values import nearest, shown
from wsload.profile.values import text as any_text
from wsload.units import NS_PER_MS, UnitError, format_duration, parse_duration_ns, parse_share

DEFAULT_WITHIN_NS = 500 * NS_PER_MS

Fields = dict[str, Any]


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise UnitError(f"{shown(value)} is neither true nor false", "write true")


def _cause(value: object) -> str:
    name = any_text(value)
    if name not in CAUSES:
        raise UnitError(f'"{name}" is no cause', nearest(name, CAUSES))
    return name


_KEYS: dict[str, tuple[str, Callable[[object], object]]] = {
    "dies_at": ("dies_at_ns", lambda value: parse_duration_ns(any_text(value))),
    "within": ("within_ns", lambda value: parse_duration_ns(any_text(value))),
    "cause": ("cause", _cause),
    "survives": ("survives", _flag),
    "share": ("share", lambda value: parse_share(any_text(value))),
}


def parse_expectation(cohort: str, table: object, cohort_names: Sequence[str], load: Load) -> Expectation:
    """Read one cohort's expectation.

    Raises:
        UnitError: It says nothing, contradicts itself, or the hold is too short to see it.
    """
    if cohort not in cohort_names:
        raise UnitError("is no cohort", nearest(cohort, tuple(cohort_names)))
    if not isinstance(table, Mapping):
        raise UnitError(f"{shown(table)} is no table", 'write { survives = true } or { dies_at = "30s" }')
    fields: Fields = {"within_ns": DEFAULT_WITHIN_NS}
    for key, value in table.items():
        if key not in _KEYS:
            raise UnitError(f'has the unknown key "{key}"', nearest(key, tuple(_KEYS)))
        name, parse = _KEYS[key]
        fields[name] = parse(value)
    expectation = Expectation(cohort=cohort, **fields)
    if (expectation.dies_at_ns is None) == (not expectation.survives):
        raise UnitError(
            "needs either dies_at or survives", 'write { survives = true } or { dies_at = "30s" }'
        )
    if expectation.survives and expectation.cause is not None:
        raise UnitError("has a cause and survives", "leave the cause out")
    needed_ns = (expectation.dies_at_ns or 0) + expectation.within_ns
    if expectation.dies_at_ns is not None and load.hold_ns < needed_ns:
        held = format_duration(load.hold_ns)
        raise UnitError(
            f"cannot be seen in a hold of {held}", f'write load.hold = "{format_duration(needed_ns)}" or more'
        )
    return expectation
