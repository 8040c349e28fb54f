import pytest

from wsload.errors import ProfileError
from wsload.profile.load import parse_profile


def test_a_timer_slack_that_alone_reaches_the_lag_limit_is_refused() -> None:
    with pytest.raises(ProfileError) as caught:
        parse_profile('[load]\ntimer_slack = "50ms"\n', "p.toml")
    assert "load.timer_slack" in str(caught.value)
    assert '"10ms"' in str(caught.value)


def test_a_timer_slack_may_be_raised_together_with_the_lag_limit() -> None:
    load = parse_profile('[load]\ntimer_slack = "50ms"\nlag_limit = "200ms"\n', "p.toml").load
    assert load.timer_slack_ns == 50_000_000
