"""The keys that make the embedded backend misbehave."""

import pytest

from wsload.errors import ProfileError
from wsload.profile.load import parse_profile
from wsload.profile.model import Backend, EndsWith

MS = 1_000_000

ALL = """
[backend]
idle_close = "20s"
idle_close_share = "50%"
ends_after = "30s"
ends_with = "close"
ends_share = "50%"
close_code = 4001
ignore_fin = true
upgrade_delay = "250ms"
upgrade_missing = 0.25
refuse = "5%"
refuse_status = 404
"""

DEFAULTS = """
[backend]
idle_close = "0s"
idle_close_share = "100%"
ends_after = "0s"
ends_with = "close"
ends_share = "100%"
close_code = 1000
ignore_fin = false
upgrade_delay = "0s"
upgrade_missing = "0%"
refuse = "0%"
refuse_status = 503
"""


def backend(text: str, *overrides: str) -> Backend:
    return parse_profile(text, "p.toml", overrides).backend


def refusal(text: str, *overrides: str) -> str:
    with pytest.raises(ProfileError) as caught:
        backend(text, *overrides)
    return str(caught.value)


def test_every_key_is_read() -> None:
    assert backend(ALL) == Backend(
        idle_close_ns=20_000 * MS,
        idle_close_share=0.5,
        ends_after_ns=30_000 * MS,
        ends_with=EndsWith.CLOSE,
        ends_share=0.5,
        close_code=4001,
        ignore_fin=True,
        upgrade_delay_ns=250 * MS,
        upgrade_missing_share=0.25,
        refuse_share=0.05,
        refuse_status=404,
    )


def test_the_defaults_written_out_are_the_defaults_also_with_a_backend_of_ones_own() -> None:
    assert backend(DEFAULTS) == Backend() == backend("")
    backend(DEFAULTS, "target.via=url", "target.url=ws://127.0.0.1:1/")


@pytest.mark.parametrize("how", list(EndsWith))
def test_each_way_to_end_is_named_as_in_the_model(how: EndsWith) -> None:
    assert backend("", "backend.ends_after=1s", f"backend.ends_with={how.value}").ends_with is how


@pytest.mark.parametrize("code", [1000, 1003, 1007, 1014, 3000, 4999])
def test_codes_that_may_be_sent_are_taken(code: int) -> None:
    assert backend("", "backend.ends_after=1s", f"backend.close_code={code}").close_code == code


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ends_after = 5", 'backend.ends_after: 5 has no unit; write "5s", or ms, m, h'),
        ('end_after = "5s"', "backend.end_after: unknown key; did you mean backend.ends_after?"),
        ('ends_with = "finn"', 'backend.ends_with: "finn" is not known here; did you mean "fin"?'),
        (
            'ends_with = "rst"',
            'backend.ends_with: has no effect without ends_after; write ends_after = "30s" beside it',
        ),
        (
            'idle_close_share = "10%"',
            'backend.idle_close_share: has no effect without idle_close; write idle_close = "30s" beside it',
        ),
        ('ends_share = "10%"', "backend.ends_share: has no effect without ends_after"),
        ("close_code = 4001", "backend.close_code: has no effect without ends_after"),
        (
            'ends_after = "1s"\nends_with = "rst"\nclose_code = 4001',
            'backend.close_code: has no effect with ends_with = "rst", which sends no close frame; '
            'leave it out, or write ends_with = "close"',
        ),
        (
            'ends_after = "1s"\nclose_code = 1006',
            "backend.close_code: 1006 may not stand in a close frame; write 1000, 1001, 1011, or 3000",
        ),
        ("close_code = 5000", "backend.close_code: 5000 may not stand in a close frame"),
        (
            "ends_share = 50",
            'backend.ends_share: 50 is more than the whole; write at most "100%", such as "50%"',
        ),
        ('ends_share = "-1%"', 'backend.ends_share: "-1%" is negative'),
        ('ignore_fin = "yes"', 'backend.ignore_fin: "yes" is neither true nor false; write true or false'),
        ("ignore_fin = 1", "backend.ignore_fin: 1 is neither true nor false"),
        ('upgrade_delay = "1"', 'backend.upgrade_delay: "1" has no unit'),
        (
            'refuse = "60%"\nupgrade_missing = "50%"',
            "backend.upgrade_missing: with refuse it comes to more than all upgrade requests; "
            'write shares of at most "100%" together',
        ),
        ("refuse_status = 404", "backend.refuse_status: has no effect without refuse; write refuse = "),
        (
            'refuse = "5%"\nrefuse_status = 302',
            "backend.refuse_status: 302 refuses nothing; write 400 to 599, such as 503",
        ),
        (
            'mode = "external"\nservers = ["10.0.0.1:80"]\nrefuse = "5%"',
            'backend.refuse: has no effect with backend.mode = "external": that backend is not ours; '
            "leave it out, or drive the embedded backend",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_to_write(line: str, message: str) -> None:
    told = refusal(f"[backend]\n{line}\n")
    assert told.startswith(f"p.toml: {message}")
    assert "\n" not in told


def test_a_backend_behind_a_url_does_not_misbehave_for_us() -> None:
    told = refusal(ALL, "target.via=url", "target.url=ws://127.0.0.1:1/")
    assert 'backend.ends_after: has no effect with target.via = "url": that backend is not ours' in told
