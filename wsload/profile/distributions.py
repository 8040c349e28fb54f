"""``exp(20s)`` and its like: how a profile writes a distribution of times."""

import re

from wsload.profile.model import Distribution, Spread
from wsload.profile.values import duration, shown, text
from wsload.units import UnitError, format_duration

_CALL = re.compile(r"([a-z]+)\s*\(([^()]*)\)")
_EXAMPLES = {
    Spread.FIXED: "fixed(20s)",
    Spread.EXPONENTIAL: "exp(20s)",
    Spread.LOGNORMAL: "lognormal(20s, 1.2)",
}
_FIX = 'write "exp(20s)", "fixed(20s)", "lognormal(20s, 1.2)" or a list such as ["3s", "40s"]'
_MOST_SIGMA = 5.0
"""The mean of a lognormal is e^(sigma^2/2) medians: at 5, some 270,000."""

_length_ns = duration("20s", least_ns=1)


def distribution(raw: object) -> Distribution:
    """A distribution as text, or a list of durations whose values are drawn with equal chances."""
    if isinstance(raw, list):
        if not raw:
            raise UnitError("the list of durations is empty", _FIX)
        return Distribution(spread=Spread.TABLE, scale_ns=0, values_ns=tuple(sorted(map(_length_ns, raw))))
    written = _CALL.fullmatch(text(raw).strip())
    if written is None or written[1] not in (spread.value for spread in _EXAMPLES):
        raise UnitError(f"{shown(raw)} is no distribution", _FIX)
    spread = Spread(written[1])
    arguments = [each.strip() for each in written[2].split(",")]
    if len(arguments) != (2 if spread is Spread.LOGNORMAL else 1):
        raise UnitError(f"{shown(raw)} has {len(arguments)} arguments", f'write "{_EXAMPLES[spread]}"')
    sigma = _sigma(raw, arguments[1]) if spread is Spread.LOGNORMAL else 0.0
    return Distribution(spread=spread, scale_ns=_length_ns(arguments[0]), sigma=sigma)


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
