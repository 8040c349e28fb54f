import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.haproxy.cfg_samples import (
    ALL_RIGHT,
    GOOD,
    HTTP,
    NEXTCLOUD,
    QUIET,
    ROUTE,
    STOCK_DEBIAN,
    findings,
    mended,
    shown,
)
from wsload.haproxy.cfg_finding import Severity
from wsload.haproxy.cfg_findings import haproxy_findings, merged


def test_a_file_with_everything_right_has_no_findings() -> None:
    for version in ("2.6.12", "3.0.11", "3.2.26"):
        assert shown(ALL_RIGHT, version) == []


def test_debians_stock_file_is_harmless_but_unbounded() -> None:
    assert shown(STOCK_DEBIAN) == [
        (1, "risky", "no `maxconn` in `global`"),
        (1, "risky", "no `hard-stop-after`"),
        (17, "hint", "a bare number: `timeout connect 5000`"),
        (18, "hint", "a bare number: `timeout client 50000`"),
        (19, "hint", "a bare number: `timeout server 50000`"),
    ]


def test_a_nextcloud_without_tunnel_timer_is_told_which_timer_cuts_it() -> None:
    assert shown(NEXTCLOUD) == [
        (5, "harmful", "no `timeout tunnel`: backend push, backend talk"),
        (9, "hint", "`timeout server 5m` does not keep tunnels"),
    ]
    effect = findings(NEXTCLOUD)[0].effect
    assert effect == "An idle tunnel ends after 30s, by `timeout client` of line 8; HAProxy logs cD."


@pytest.mark.parametrize("text", [NEXTCLOUD, STOCK_DEBIAN, ALL_RIGHT, f"{QUIET}{HTTP}{ROUTE}"])
def test_what_is_written_as_told_leaves_nothing_to_tell(text: str) -> None:
    assert shown(mended(text, findings(text))) == []


def test_a_tunnel_timer_in_a_frontend_is_ignored_and_haproxys_own_warning_not_repeated() -> None:
    text = f"{QUIET}{GOOD}frontend f\n bind :1\n timeout tunnel 2h\n default_backend ws\n"
    ours = findings(text + "backend ws\n server s h:1\n")
    assert [(finding.line, finding.title) for finding in ours] == [(12, "`timeout tunnel` in a frontend")]
    words = (
        "[WARNING]  (7) : config : parsing [x.cfg:12] : 'timeout tunnel' will be ignored because frontend "
        "'f' has no backend capability\n[WARNING]  (7) : config : parsing [x.cfg:3] : another\n"
    )
    both = merged(haproxy_findings(0, words), ours)
    assert [(finding.line, finding.title) for finding in both] == [
        (3, "HAProxy warns"),
        (12, "`timeout tunnel` in a frontend"),
    ]


def test_a_condition_of_the_file_is_mentioned() -> None:
    text = f"{QUIET}{HTTP}.if defined(X)\n timeout tunnel 1h\n.endif\n{ROUTE}"
    assert shown(text) == [(9, "hint", "a condition only HAProxy can decide")]


def test_haproxys_words_become_findings_with_their_lines() -> None:
    words = """\
[NOTICE]   (4) : haproxy version is 3.2.26-1
[WARNING]  (4) : config : parsing [/a b/h.cfg:6]: argument number 2 at position 17 is empty:
  timeout server "$Y"
                 ^
[ALERT]    (4) : config : parsing [/a b/h.cfg:2] : cannot find user id for 'web' (0:Success)
[ALERT]    (4) : [haproxy.main()] No such thing
[ALERT]    (4) : config : Error(s) found in configuration file : h.cfg
[ALERT]    (4) : config : Fatal errors found in configuration.
"""
    found = haproxy_findings(1, words)
    assert [(finding.line, finding.severity.value) for finding in found] == [
        (6, "risky"),
        (2, "harmful"),
        (0, "harmful"),
    ]
    assert found[0].effect.startswith("argument number 2 at position 17 is empty: timeout server")
    assert found[1].effect.endswith("'web' (0:Success) (It may be there on the machine where HAProxy runs.)")


def test_haproxys_own_doubt_about_a_bare_number_is_not_repeated() -> None:
    words = (
        "[WARNING]  (7) : config : parsing [x:15] : 'timeout check 30' in backend 'b' is suspiciously small"
    )
    ours = findings(f"{QUIET}{GOOD}{ROUTE} timeout check 30\n")
    assert merged(haproxy_findings(0, words), ours) == ours


def test_a_refusal_without_an_alert_is_a_finding_all_the_same() -> None:
    words = "Configuration file has no error but will not start (no listener) => exit(2).\n"
    assert [finding.effect for finding in haproxy_findings(2, words)] == [words.strip()]
    assert haproxy_findings(0, "Configuration file is valid\n") == []


def test_an_alert_about_a_file_that_haproxy_takes_is_no_rejection() -> None:
    # HAProxy 2.6.12, exit status 0.
    words = (
        "[ALERT]    (7) : config : parsing [a.cfg:21] : defaults section 'long' (declared at a.cfg:8) is "
        "explicitly referenced by another proxy and implicitly used here.\nWarnings were found.\n"
    )
    (found,) = haproxy_findings(0, words)
    assert (found.line, found.severity, found.title) == (21, Severity.RISKY, "HAProxy warns")


LINES = st.sampled_from(
    [
        *ALL_RIGHT.splitlines(),
        *NEXTCLOUD.splitlines(),
        "listen ws from",
        "timeout tunnel",
        "timeout tunnel 0",
        "timeout",
        'timeout client "${X-}"',
        "maxconn",
        "server s 127.0.0.1:18080 maxconn",
        "http-request set-timeout tunnel 5 if {",
        "use_backend %[x] unless !",
        "option",
        "acl",
        '"',
        ".if x",
        ".endif",
    ]
)


@given(st.lists(LINES, max_size=30).map("\n".join))
@settings(max_examples=60, deadline=None)
def test_whatever_is_written_it_is_read_to_the_end(text: str) -> None:
    for finding in findings(text):
        assert 0 <= finding.line <= text.count("\n") + 1
        assert finding.title
