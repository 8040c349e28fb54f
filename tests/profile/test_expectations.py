import pytest

from wsload.errors import ProfileError
from wsload.profile.load import parse_profile
from wsload.profile.model import CAUSES, Expectation
from wsload.record.outcome import Cause
from wsload.units import NS_PER_S

HEAD = """
[load]
hold = "40s"
[[cohort]]
name = "idle"
[[cohort]]
name = "pinged"
traffic = "pinged"
[expect]
"""


def expected(line: str) -> tuple[Expectation, ...]:
    return parse_profile(HEAD + line, "p.toml").expectations


def test_a_cohort_may_have_to_die_or_to_survive() -> None:
    made = expected(
        'idle = { dies_at = "30s", within = "1s", cause = "haproxy_tunnel_timeout" }\n'
        'pinged = { survives = true, share = "99%" }'
    )
    assert made == (
        Expectation(
            cohort="idle", dies_at_ns=30 * NS_PER_S, within_ns=NS_PER_S, cause="haproxy_tunnel_timeout"
        ),
        Expectation(cohort="pinged", survives=True, share=0.99, within_ns=NS_PER_S // 2),
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("idel = { survives = true }", "expect.idel: is no cohort"),
        ("idle = { dies_at = 30 }", "expect.idle"),
        ("idle = { }", "needs either dies_at or survives"),
        ('idle = { dies_at = "30s", survives = true }', "needs either dies_at or survives"),
        ('idle = { dies_at = "30s", cause = "haproxy_tunel_timeout" }', "haproxy_tunnel_timeout"),
        ('idle = { dies_att = "30s" }', "dies_at"),
        ('idle = { dies_at = "60s" }', "cannot be seen in a hold of 40s"),
        ('idle = { survives = true, cause = "backend_close" }', "leave the cause out"),
        ("idle = true", "is no table"),
    ],
)
def test_an_expectation_that_cannot_be_judged_is_refused(line: str, words: str) -> None:
    with pytest.raises(ProfileError) as refused:
        expected(line)
    assert words in str(refused.value)


def test_every_cause_an_expectation_may_name_exists() -> None:
    assert set(CAUSES) <= {str(cause) for cause in Cause}
