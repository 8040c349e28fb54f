"""Distributions of times as profiles write them."""

import math

import pytest

from wsload.profile.distributions import distribution, written
from wsload.profile.model import Distribution, Spread
from wsload.units import UnitError

S = 1_000_000_000


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        ("fixed(20s)", Distribution(spread=Spread.FIXED, scale_ns=20 * S)),
        (" exp ( 500ms ) ", Distribution(spread=Spread.EXPONENTIAL, scale_ns=S // 2)),
        ("lognormal(20s, 1.2)", Distribution(spread=Spread.LOGNORMAL, scale_ns=20 * S, sigma=1.2)),
        (["40s", "3s"], Distribution(spread=Spread.TABLE, scale_ns=0, values_ns=(3 * S, 40 * S))),
    ],
)
def test_each_kind_is_read(raw: object, read: Distribution) -> None:
    assert distribution(raw) == read


def test_each_is_written_as_it_was_read_and_a_table_by_its_length() -> None:
    for text in ("fixed(20s)", "exp(500ms)", "lognormal(20s, 1.2)"):
        assert written(distribution(text)) == text
    assert written(distribution(["1s", "2s", "3s"])) == "a table of 3"


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ("fixed(0s)", '"fixed(0s)": "0s" is zero; write "fixed(20s)"'),
        ("exp(-1s)", '"exp(-1s)": "-1s" is negative; write "exp(20s)"'),
        ("exp()", '"exp()": "" is no duration; write "exp(20s)"'),
        ("exp(2)", '"exp(2)": "2" has no unit; write "exp(20s)"'),
        ("exp(nan)", '"exp(nan)": "nan" is no duration; write "exp(20s)"'),
        ("exp(2s, 3)", '"exp(2s, 3)" has 2 arguments; write "exp(20s)"'),
        ("lognormal(2s)", '"lognormal(2s)" has 1 argument; write "lognormal(20s, 1.2)"'),
        ("lognormal(2s, 0)", '"lognormal(2s, 0)": "0" is no sigma above 0, up to 5'),
        ("lognormal(2s, nan)", '"lognormal(2s, nan)": "nan" is no sigma above 0, up to 5'),
        ("lognormal(2s, 9)", '"lognormal(2s, 9)": "9" is no sigma above 0, up to 5'),
        ("fixed(4000d)", '"fixed(4000d)": "4000d" is more than ten years; write "fixed(20s)"'),
        (
            "lognormal(3000d, 4)",
            '"lognormal(3000d, 4)" has a mean above ten years; write one such as "exp(20s)"',
        ),
        ("exp(10us)", '"exp(10us)" has a mean below 1ms; write one such as "exp(20s)"'),
        ("gamma(2s)", '"gamma(2s)" is no distribution; write "exp(20s)", "fixed(20s)"'),
        ("20s", '"20s" is no distribution'),
        ("", '"" is no distribution'),
        (5, "5 is no distribution"),
        (True, "true is no distribution"),
        ([], "the list of durations is empty; write"),
        (["2s", 5], "5 has no unit"),
        (["2s", "0s"], '"0s" is zero'),
        (["2s", ["3s"]], "['3s'] is of the wrong type"),
    ],
)
def test_an_impossible_one_is_refused_with_what_to_write(raw: object, problem: str) -> None:
    with pytest.raises(UnitError) as caught:
        distribution(raw)
    assert str(caught.value).startswith(problem)


def test_only_fixed_lengths_and_tables_have_a_longest() -> None:
    assert distribution("exp(1s)").longest_ns == distribution("lognormal(1s, 1)").longest_ns == math.inf
    assert distribution("fixed(3s)").longest_ns == distribution(["1s", "3s"]).longest_ns == 3 * S
