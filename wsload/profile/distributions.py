"""``exp(20s)`` and its like: how a profile writes a distribution of times."""

import re

from wsload.profile.model import Distribution, Spread
from wsload.profile.values import MAX_DURATION_NS, duration, shown
from wsload.units import NS_PER_MS, UnitError, format_duration

_CALL = re.compile(r"([a-z]+)\s*\(([^()]*)\)")
_EXAMPLES = {
    Spread.FIXED: "fixed(20s)",
    Spread.EXPONENTIAL: "exp(20s)",
    Spread.LOGNORMAL: "lognormal(20s, 1.2)",
}
_FIX = 'write "exp(20s)", "fixed(20s)", "lognormal(20s, 1.2)" or a list such as ["3s", "40s"]'
_MOST_SIGMA = 5.0
"""The mean of a lognormal is e^(sigma^2/2) medians: at 5, some 270,000."""
_LEAST_MEAN_NS = NS_PER_MS
"""Who sends more often is not quiet, and a session that short is none."""

_length_ns = duration("20s", least_ns=1)


def distribution(raw: object) -> Distribution:
    """A distribution as text, or a list of durations whose values are drawn with equal chances."""
    lengths = _distribution(raw)
    if not _LEAST_MEAN_NS <= lengths.mean_ns <= MAX_DURATION_NS:
        bound = "below 1ms" if lengths.mean_ns < _LEAST_MEAN_NS else "above ten years"
        raise UnitError(f"{shown(raw)} has a mean {bound}", 'write one such as "exp(20s)"')
    return lengths


def _distribution(raw: object) -> Distribution:
    if isinstance(raw, list):
        if not raw:
            raise UnitError("the list of durations is empty", _FIX)
        return Distribution(spread=Spread.TABLE, scale_ns=0, values_ns=tuple(sorted(map(_length_ns, raw))))
    written = _CALL.fullmatch(raw.strip()) if isinstance(raw, str) else None
    if written is None or written[1] not in (spread.value for spread in _EXAMPLES):
        raise UnitError(f"{shown(raw)} is no distribution", _FIX)
    spread = Spread(written[1])
    arguments = [each.strip() for each in written[2].split(",")]
    if len(arguments) != (2 if spread is Spread.LOGNORMAL else 1):
        raise UnitError(
            f"{shown(raw)} has {len(arguments)} argument{'' if len(arguments) == 1 else 's'}",
            f'write "{_EXAMPLES[spread]}"',
        )
    sigma = _sigma(raw, arguments[1]) if spread is Spread.LOGNORMAL else 0.0
    try:
        return Distribution(spread=spread, scale_ns=_length_ns(arguments[0]), sigma=sigma)
    except UnitError as error:
        raise UnitError(f"{shown(raw)}: {error.problem}", f'write "{_EXAMPLES[spread]}"') from None


def _sigma(raw: object, written: str) -> float:
    try:
        sigma = float(written)
    except ValueError:
        sigma = -1.0
    if not 0 < sigma <= _MOST_SIGMA:
        raise UnitError(
            f'{shown(raw)}: "{written}" is no sigma above 0, up to {_MOST_SIGMA:g}',
            'write "lognormal(20s, 1.2)"',
        )
    return sigma


def written(lengths: Distribution) -> str:
    """As a profile writes it; a table as ``a table of N``."""
    if lengths.spread is Spread.TABLE:
        return f"a table of {len(lengths.values_ns)}"
    sigma = f", {lengths.sigma:g}" if lengths.spread is Spread.LOGNORMAL else ""
    return f"{lengths.spread.value}({format_duration(lengths.scale_ns)}{sigma})"
