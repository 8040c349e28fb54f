"""Option types with units: what cannot be read is click's usage error, with what to write instead."""

from collections.abc import Callable
from typing import Any

import click

from wsload.units import (
    UnitError,
    parse_count,
    parse_duration_ns,
    parse_rate_per_s,
    parse_share,
    parse_share_rate_per_s,
    parse_size_bytes,
)


class Quantity(click.ParamType[Any]):
    """Text to a number by one of :mod:`wsload.units`' parsers, within bounds."""

    def __init__(
        self,
        name: str,
        parse: Callable[[str], float],
        *,
        least: float = 0,
        most: float | None = None,
        says: str = "",
    ) -> None:
        """``says`` words the bounds: what a value outside them is told."""
        self.name = name
        self._parse, self._least, self._most, self._says = parse, least, most, says

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number; click's own error if there is none."""
        if not isinstance(value, str):
            return value
        try:
            number = self._parse(value)
        except UnitError as error:
            self.fail(str(error), param, ctx)
        if number < self._least or (self._most is not None and number > self._most):
            self.fail(f'"{value}" is out of range; {self._says}', param, ctx)
        return number


COUNT = Quantity("COUNT", parse_count, least=1, says="write 1 or more")
NUMBER = Quantity("NUMBER", parse_count)
TIME = Quantity("TIME", parse_duration_ns, least=1, says='write a time above 0, such as "30s"')
SIZE = Quantity("SIZE", parse_size_bytes, least=1, says='write a size above 0, such as "8GiB"')
RATE = Quantity("RATE", parse_rate_per_s)
SPEED = Quantity("RATE", parse_rate_per_s, least=1e-9, says='write a rate above 0, such as "500/s"')
SHARE = Quantity("SHARE", parse_share, most=1, says='write "0%" to "100%"')
RESERVE = Quantity("SHARE", parse_share, most=0.95, says='write "0%" to "95%"')
SHARE_RATE = Quantity("SHARE/TIME", parse_share_rate_per_s)
