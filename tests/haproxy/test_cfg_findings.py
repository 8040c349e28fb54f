import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsload.haproxy.cfg_findings import Finding, Severity, find, haproxy_findings, merged
from wsload.haproxy.cfg_reader import read_config

STOCK_DEBIAN = """\
global
	log /dev/log	local0
	chroot /var/lib/haproxy
	stats socket /run/haproxy/admin.sock mode 660 level admin
	stats timeout 30s
	user haproxy
	group haproxy
	daemon

	ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets

defaults
	log	global
	mode	http
	option	httplog
	option	dontlognull
        timeout connect 5000
        timeout client  50000
        timeout server  50000
	errorfile 400 /etc/haproxy/errors/400.http
"""

NEXTCLOUD = """\
global
    maxconn 4096
    hard-stop-after 1h

defaults
    mode http
    timeout connect 5s
    timeout client 30s   # as in HaRP's issue 115
    timeout server 5m
    timeout server-fin 30s

frontend web
    bind 127.0.0.1:18080
    acl is_push path_beg /push/ws
    use_backend push if is_push
    use_backend talk if { hdr(Upgrade) -i websocket } !is_push
    default_backend nextcloud

backend push
    server push1 127.0.0.1:7867
backend talk
    server talk1 127.0.0.1:8188
backend nextcloud
    server web1 127.0.0.1:8081 check
"""

ALL_RIGHT = """\
global
    maxconn 4096
    hard-stop-after 30m

defaults http
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    timeout server-fin 30s
    timeout queue 10s
    timeout tunnel 1h
    default-server check on-marked-down shutdown-sessions

frontend web from http
    bind 127.0.0.1:18080
    maxconn 4000
    use_backend ws if { hdr(Upgrade) -i websocket }
    default_backend pages

backend ws from http
    option httpchk
    server app1 127.0.0.1:8080 maxconn 2000
backend pages from http
    server web1 127.0.0.1:8081
"""

ROUTE = "frontend f\n bind :1\n default_backend ws\nbackend ws\n server s h:1\n"
QUIET = "global\n maxconn 100\n hard-stop-after 1h\n"
TIMERS = " timeout client 30s\n timeout server 30s\n timeout server-fin 9s\n"
HTTP = f"defaults\n mode http\n{TIMERS}"
GOOD = f"{HTTP} timeout tunnel 1h\n"


def findings(text: str, version: str = "2.6.12", nofile_hard: int = 20_000) -> list[Finding]:
    return find(read_config(text, {}), version=version, nofile_hard=nofile_hard)


def shown(text: str, version: str = "2.6.12", nofile_hard: int = 20_000) -> list[tuple[int, str, str]]:
    return [
        (finding.line, finding.severity.value, finding.title)
        for finding in findings(text, version, nofile_hard)
    ]


def only(text: str, version: str = "2.6.12", nofile_hard: int = 20_000) -> Finding:
    found = findings(text, version, nofile_hard)
    assert len(found) == 1, found
    return found[0]


def mended(text: str, found: list[Finding]) -> str:
    """The text with every fix applied, from its end to its start; a line is written once."""
    lines = text.splitlines()
    fixes = {(fix.at, fix.lines): fix for finding in found if (fix := finding.fix) is not None}
    for fix in sorted(fixes.values(), key=lambda fix: (fix.at, fix.replaces), reverse=True):
        lines[fix.at - fix.replaces : fix.at] = fix.lines
    return "\n".join([*lines, ""])


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


@pytest.mark.parametrize(
    ("setting", "severity", "title", "written"),
    [
        ("maxconn 9970", None, "", ""),
        (
            "maxconn 10000",
            "risky",
            "`maxconn 10000` is more than this machine's descriptors",
            "maxconn 9900",
        ),
        ("maxconn 100\n ulimit-n 260", None, "", ""),
        (
            "maxconn 100\n ulimit-n 200",
            "harmful",
            "`ulimit-n 200` is too low for `maxconn 100`",
            "ulimit-n 260",
        ),
        (
            "maxconn 100\n fd-hard-limit 200",
            "harmful",
            "`fd-hard-limit 200` is too low for `maxconn 100`",
            "fd-hard-limit 260",
        ),
        ("fd-hard-limit 1000", "risky", "no `maxconn` in `global`", "maxconn 400"),
    ],
)
def test_maxconn_is_held_against_descriptors(
    setting: str, severity: str | None, title: str, written: str
) -> None:
    found = findings(f"global\n hard-stop-after 1h\n {setting}\n{GOOD}{ROUTE}")
    told = [
        (finding.severity.value, finding.title, finding.fix.lines)
        for finding in found
        if finding.fix is not None
    ]
    assert told == ([] if severity is None else [(severity, title, (written,))])


def test_a_frontend_cannot_take_more_than_the_process() -> None:
    text = f"{QUIET}{GOOD} maxconn 200\n{ROUTE}"
    finding = only(text)
    assert (finding.line, finding.title) == (10, "`maxconn 200` of defaults is over the process's 100")


def test_half_closed_tunnels_depend_on_haproxys_version_and_mode() -> None:
    text = f"{QUIET}{GOOD}{ROUTE}".replace(" timeout server-fin 9s\n", " timeout client-fin 9s\n")
    old, new = only(text), only(text, "3.2.26")
    assert (old.severity, new.severity) == (Severity.RISKY, Severity.HINT)
    assert old.fix is not None
    assert old.fix.lines == ("timeout server-fin 30s",)
    assert new.fix is None
    assert "On HAProxy 3.2.26 neither" in new.effect
    assert only(text.replace("mode http", "mode tcp"), "3.2.26").severity is Severity.RISKY


def test_a_queue_needs_a_timeout_of_its_own_as_tunnels_never_leave() -> None:
    text = f"{QUIET}{GOOD} timeout connect 5s\n{ROUTE}".replace("h:1", "h:1 maxconn 10")
    finding = only(text)
    assert (finding.line, finding.title) == (15, "server `maxconn` and no `timeout queue`: backend ws")
    assert "`timeout connect 5s`" in finding.effect
    assert shown(f"{text} timeout queue 3s\n") == []


def test_of_several_rules_for_the_tunnel_timer_the_last_one_wins() -> None:
    rules = (
        " http-request set-timeout tunnel 1m if { path /x }\n"
        " http-request set-timeout tunnel 2m\n"
        " http-request set-timeout tunnel 3m if { path /y }\n"
    )
    finding = only(f"{QUIET}{GOOD}{ROUTE}{rules}")
    assert (finding.line, finding.title) == (15, "`http-request set-timeout tunnel 1m` never counts")
    assert finding.effect.startswith("Line 16 ")


@pytest.mark.parametrize(("version", "severity"), [("3.0.11", Severity.HINT), ("3.2.26", Severity.RISKY)])
def test_a_listens_rule_is_lost_on_the_way_to_another_backend(version: str, severity: Severity) -> None:
    listen = "listen l\n bind :1\n http-request set-timeout tunnel 1h\n default_backend ws\n server s h:2\n"
    found = findings(f"{QUIET}{HTTP}{listen}backend ws\n server s h:1\n", version)
    lost = [finding for finding in found if finding.line == 11]
    assert [(finding.severity, finding.fix.place if finding.fix else "") for finding in lost] == [
        (severity, "backend ws")
    ]
    assert any("no `timeout tunnel`: backend ws" in finding.title for finding in found) == (
        severity is Severity.RISKY
    )


@pytest.mark.parametrize(
    ("server", "bind"),
    [("127.0.0.1:9", ":9"), ("unix@/run/x", "/run/x"), ("abns@x", "abns@x"), ("localhost:9", "127.0.0.1:9")],
)
def test_of_chained_hops_the_shorter_timer_is_named(server: str, bind: str) -> None:
    outer = f"backend ws\n timeout tunnel 1h\n server s {server}\n"
    inner = f"listen inner_ws\n bind {bind}\n timeout tunnel 1m\n server s h:1\n"
    finding = only(f"{QUIET}{HTTP}frontend f\n bind :1\n default_backend ws\n{outer}{inner}")
    assert (finding.line, finding.title) == (17, "`timeout tunnel 1m` is the shorter of two hops")
    assert finding.fix is not None
    assert finding.fix.lines == ("timeout tunnel 1h",)


def test_checked_servers_keep_their_tunnels_when_they_go_down() -> None:
    text = f"{QUIET}{GOOD}{ROUTE}".replace("h:1", "h:1 check")
    finding = only(text)
    assert (finding.line, finding.severity) == (14, Severity.HINT)
    assert shown(text.replace("check", "check on-marked-down shutdown-sessions")) == []


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
