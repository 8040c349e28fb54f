import pytest

from tests.haproxy.cfg_samples import GOOD, HTTP, QUIET, ROUTE, findings, only, shown
from wsload.haproxy.cfg_finding import Severity


@pytest.mark.parametrize(
    ("client", "server", "effect"),
    [
        ("30s", "60s", "An idle tunnel ends after 30s, by `timeout client` of line 6; HAProxy logs cD."),
        ("60s", "30s", "An idle tunnel ends after 30s, by `timeout server` of line 7; HAProxy logs sD."),
        ("30s", "30s", "An idle tunnel ends after 30s, by `timeout client` of line 6; HAProxy logs cD."),
        ("0", "30s", "An idle tunnel ends after 30s, by `timeout server` of line 7; HAProxy logs sD."),
        ("1d12h", "30s", "Then the smaller of `timeout client` and `timeout server` ends an idle tunnel."),
        ("0", "0", "No timer ends an idle tunnel: a client that vanishes keeps its slot until HAProxy ends."),
    ],
)
def test_without_tunnel_timer_the_smaller_of_client_and_server_applies(
    client: str, server: str, effect: str
) -> None:
    text = f"{QUIET}defaults\n mode http\n timeout client {client}\n timeout server {server}\n"
    found = findings(f"{text} timeout server-fin 9s\n{ROUTE}")
    assert [finding.effect for finding in found if "no `timeout tunnel`" in finding.title] == [effect]


def test_the_clients_timer_is_the_frontends_and_the_servers_the_backends() -> None:
    text = f"{QUIET}{HTTP}frontend f\n timeout client 5s\n timeout server 1s\n default_backend ws\n"
    found = findings(text + "backend ws\n timeout client 1s\n timeout server 7s\n server s h:1\n")
    effects = [finding.effect for finding in found if "no `timeout tunnel`" in finding.title]
    assert effects == ["An idle tunnel ends after 5s, by `timeout client` of line 10; HAProxy logs cD."]


def test_where_no_route_is_told_every_backend_counts_and_tcp_is_only_risky() -> None:
    text = f"{QUIET}{HTTP}frontend f\n default_backend a\nbackend a\n server s h:1\n"
    tcp = "listen db\n mode tcp\n bind :2\n server s h:2\n"
    assert shown(text + tcp) == [
        (11, "harmful", "no `timeout tunnel`: backend a"),
        (13, "risky", "no `timeout tunnel`: listen db"),
    ]
    assert (
        "No rule tells which route carries WebSockets, so every mode-tcp one"
        in findings(text + tcp)[1].effect
    )


def test_a_tunnel_timer_of_zero_is_told_where_it_stands_even_in_other_routes() -> None:
    text = f"{QUIET}{HTTP} timeout tunnel 0\n{ROUTE} timeout tunnel 1h\n"
    other = "frontend g\n default_backend b\nbackend b\n server s h:2\n"
    finding = only(text + other)
    assert (finding.line, finding.severity, finding.title) == (
        9,
        Severity.HARMFUL,
        "`timeout tunnel 0`: backend b",
    )
    assert finding.effect.startswith("0 switches it off, silently. An idle tunnel ends after 30s")


def test_a_rule_for_the_tunnel_timer_is_as_good_as_the_setting_if_it_always_applies_to_tunnels() -> None:
    for condition in ("", " if { hdr(upgrade) -i websocket }"):
        assert shown(f"{QUIET}{HTTP}{ROUTE} http-request set-timeout tunnel 1h{condition}\n") == []
    rare = f"{QUIET}{HTTP}{ROUTE} http-request set-timeout tunnel 1h if {{ path /x }}\n"
    assert only(rare).title == "no `timeout tunnel`: backend ws"


@pytest.mark.parametrize(
    ("line", "severity", "title", "written"),
    [
        ("timeout tunnel 3600", "harmful", "`timeout tunnel 3600`", "timeout tunnel 1h"),
        ("timeout tunnel 86400", "harmful", "`timeout tunnel 86400`", "timeout tunnel 1d"),
        ("timeout tunnel 3600000", "hint", "`timeout tunnel 3600000`", "timeout tunnel 1h"),
        ("timeout check  30", "harmful", "`timeout check 30`", "timeout check  30s"),
        ("timeout check 5000 # ms", "hint", "`timeout check 5000`", "timeout check 5s"),
        (
            "http-request set-timeout tunnel 90 if { path '/a b' }",
            "harmful",
            "`http-request set-timeout tunnel 90 if { path '/a b' }`",
            "http-request set-timeout tunnel 90s if { path '/a b' }",
        ),
    ],
)
def test_a_bare_number_is_milliseconds_and_too_small_a_one_was_meant_as_seconds(
    line: str, severity: str, title: str, written: str
) -> None:
    finding = only(f"{QUIET}{GOOD}{ROUTE} {line}\n")
    assert (finding.line, finding.severity.value, finding.title) == (15, severity, f"a bare number: {title}")
    assert finding.fix is not None
    assert (finding.fix.at, finding.fix.lines, finding.fix.replaces) == (15, (written,), True)


@pytest.mark.parametrize("keeper", [" option clitcpka\n", " option tcpka\n"])
def test_a_tunnel_timer_of_half_a_day_wants_keepalives(keeper: str) -> None:
    text = f"{QUIET}{HTTP} timeout tunnel 12h\n"
    finding = only(text + ROUTE)
    assert (finding.line, finding.title) == (9, "`timeout tunnel 12h` and no keepalive")
    assert finding.fix is not None
    assert finding.fix.place == "frontend f"
    assert shown(text + keeper + ROUTE) == []
    assert shown(text + ROUTE.replace("bind :1", "bind :1 tcp-ut 30s")) == []


def test_a_timer_over_haproxys_limit_is_told_once() -> None:
    finding = only(f"{QUIET}{HTTP} timeout tunnel 25d\n{ROUTE}")
    assert (finding.line, finding.severity) == (9, Severity.HARMFUL)
    assert finding.title == "`timeout tunnel 25d` is over HAProxy's limit"
    assert finding.fix is not None
    assert finding.fix.lines == ("timeout tunnel 24d",)


@pytest.mark.parametrize(
    ("text", "line", "cut"),
    [
        (f"{GOOD} option independent-streams\n{ROUTE}", 10, ("(sD)", "(cD)")),
        (GOOD + ROUTE.replace("bind", "option independent-streams\n bind"), 11, ("(cD)",)),
        (f"{GOOD}{ROUTE} option independent-streams\n", 15, ("(sD)",)),
    ],
)
def test_independent_streams_cut_whom_depends_on_where_they_stand(
    text: str, line: int, cut: tuple[str, ...]
) -> None:
    finding = only(QUIET + text)
    assert (finding.line, finding.severity) == (line, Severity.HARMFUL)
    assert tuple(sign for sign in ("(sD)", "(cD)") if sign in finding.effect) == cut
    assert only(QUIET + text).fix is not None


def test_half_closed_tunnels_depend_on_haproxys_version_and_mode() -> None:
    text = f"{QUIET}{GOOD}{ROUTE}".replace(" timeout server-fin 9s\n", " timeout client-fin 9s\n")
    old, new = only(text), only(text, "3.2.26")
    assert (old.severity, new.severity) == (Severity.RISKY, Severity.HINT)
    assert old.fix is not None
    assert old.fix.lines == ("timeout server-fin 30s",)
    assert new.fix is None
    assert "On HAProxy 3.2.26 neither" in new.effect
    assert only(text.replace("mode http", "mode tcp"), "3.2.26").severity is Severity.RISKY
