import pytest

from wsload.haproxy.cfg_lines import parse_time_ns, split_words
from wsload.haproxy.cfg_reader import Config, read_config
from wsload.haproxy.cfg_sections import SectionKind
from wsload.units import NS_PER_MS, NS_PER_S


def config(text: str, **environ: str) -> Config:
    return read_config(text, environ)


def timeouts(read: Config, label: str) -> dict[str, tuple[str, int, str | None]]:
    section = next(section for section in read.sections if section.label == label)
    return {
        name: (timer.text, timer.line.number, timer.inherited_from)
        for name, timer in section.timeouts.items()
    }


def routes(text: str) -> list[tuple[str, str, bool]]:
    return [(route.frontend.name, route.backend.name, route.websocket) for route in config(text).routes]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("  timeout\ttunnel 1h  # an hour", ["timeout", "tunnel", "1h"]),
        ("acl a path -m reg '^/x #\"$Y\"'", ["acl", "a", "path", "-m", "reg", '^/x #"$Y"']),
        ('log-format "a # b"', ["log-format", "a # b"]),
        (r"one\ word \# \\ \"", ["one word", "#", "\\", '"']),
        ('"a \\"b\\" \\$Y"', ['a "b" $Y']),
        (r"5\s", [r"5\s"]),
        ('x"y"\'z\' ""', ["xyz", ""]),
        ('"$Y" "${Y}" "${NO-7s}" "${NO}" $Y', ["why", "why", "7s", "", "$Y"]),
        ("   # only a comment", []),
        ("", []),
    ],
)
def test_a_line_is_cut_into_words_as_haproxy_cuts_it(source: str, words: list[str]) -> None:
    assert split_words(source, {"Y": "why"})[0] == words


def test_a_lines_text_is_kept_without_its_comment() -> None:
    assert split_words('  server a "h:1" check  # old', {})[1] == 'server a "h:1" check'


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("30s", 30 * NS_PER_S),
        ("5", 5 * NS_PER_MS),
        ("250us", 250_000),
        ("1d", 86400 * NS_PER_S),
        ("0", 0),
        ("1d12h", None),
        ("1.5s", None),
        ("5S", None),
        ("", None),
    ],
)
def test_times_are_read_as_haproxy_reads_them(text: str, ns: int | None) -> None:
    assert parse_time_ns(text) == ns


def test_a_proxy_inherits_from_the_latest_defaults_before_it() -> None:
    read = config(
        "defaults\n timeout client 1s\n timeout server 2s\n"
        "backend a\n timeout server 3s\n"
        "defaults\n timeout client 9s\n"
        "backend b\n"
    )
    assert timeouts(read, "backend a") == {"client": ("1s", 2, "defaults"), "server": ("3s", 5, None)}
    assert timeouts(read, "backend b") == {"client": ("9s", 7, "defaults")}


def test_from_names_the_defaults_and_defaults_inherit_only_by_it() -> None:
    read = config(
        "defaults base\n timeout tunnel 1h\n timeout client 1s\n"
        "defaults web from base\n timeout client 2s\n"
        "defaults bare\n mode http\n"
        "backend a from web\n"
        "backend b from base\n"
        "backend c from bare\n"
    )
    assert timeouts(read, "backend a") == {
        "tunnel": ("1h", 2, "defaults base"),
        "client": ("2s", 5, "defaults web"),
    }
    assert timeouts(read, "backend b")["client"] == ("1s", 3, "defaults base")
    assert timeouts(read, "backend c") == {}


def test_of_a_repeated_setting_the_last_one_counts() -> None:
    read = config("backend a\n timeout server 1s\n timeout server 2s\n maxconn 5\n maxconn 7\n mode http\n")
    assert timeouts(read, "backend a") == {"server": ("2s", 3, None)}
    maxconn = read.sections[0].maxconn
    assert maxconn is not None
    assert (maxconn[0], maxconn[1].number) == (7, 5)


def test_an_inherited_option_may_be_taken_back() -> None:
    read = config(
        "defaults\n option tcpka\n option clitcpka\nfrontend a\n no option tcpka\nfrontend b\n option tcpka\n"
    )
    a, b = read.of(SectionKind.FRONTEND)
    assert a.option("tcpka") is None
    assert (line := a.option("clitcpka")) is not None
    assert line.section == "defaults"
    assert (line := b.option("tcpka")) is not None
    assert line.number == 7


def test_a_mode_is_tcp_unless_it_says_otherwise() -> None:
    assert [part.mode for part in config("backend a\ndefaults\n mode http\nbackend b\n").sections] == [
        "tcp",
        "http",
        "http",
    ]


def test_other_sections_end_a_proxy() -> None:
    read = config("backend a\n timeout server 1s\nresolvers dns\n timeout retry 1s\nlisten b\n")
    assert timeouts(read, "backend a") == {"server": ("1s", 2, None)}
    assert [part.kind.value for part in read.sections] == ["backend", "other", "listen"]


def test_variables_come_from_the_environment_and_from_the_file_itself() -> None:
    read = config(
        "global\n setenv T 7s\n presetenv U 8s\n presetenv V 8s\n"
        'backend a\n timeout tunnel "$T"\n timeout queue "${U}"\n timeout server "$V"\n',
        V="9s",
    )
    assert {name: text for name, (text, *_) in timeouts(read, "backend a").items()} == {
        "tunnel": "7s",
        "queue": "8s",
        "server": "9s",
    }


def test_constant_conditions_are_decided_and_others_read_with_all_their_branches() -> None:
    read = config(
        "global\n"
        ".if 0\n maxconn 1\n.elif 1\n maxconn 2\n.else\n maxconn 3\n.endif\n"
        "backend a\n"
        ".if version_atleast(2.9)\n timeout tunnel 1h\n.else\n timeout queue 1s\n.endif\n"
        ".if\n timeout server 1s\n.if feature(OPENSSL)\n timeout client 1s\n.endif\n.endif\n"
        " timeout check 1s\n"
    )
    line = read.global_line("maxconn")
    assert line is not None
    assert line.words == ("maxconn", "2")
    assert list(timeouts(read, "backend a")) == ["tunnel", "queue", "check"]
    assert read.unknown_conditions == (10,)


BACKENDS = "backend app\n server s 127.0.0.1:1\nbackend pages\n server s 127.0.0.1:2\n"


@pytest.mark.parametrize(
    "condition",
    [
        "if { hdr(Upgrade) -i websocket }",
        "if { req.hdr(upgrade) -m found }",
        "if { hdr(Connection) -i upgrade }",
        "if { path_beg /socket.io }",
        "if { path_beg,lower /ws }",
        "if { hdr(host) -i ws.example.com }",
        "if named",
        "if other named",
        "if other or named",
        "if is_websocket",
        "unless !named",
        "unless ! { path /ws }",
    ],
)
def test_a_condition_that_picks_websockets_makes_a_route_of_them(condition: str) -> None:
    text = f"acl named hdr(Upgrade) -i WebSocket\n acl other path /x\n use_backend app {condition}\n"
    assert routes(f"frontend f\n {text} default_backend pages\n{BACKENDS}") == [
        ("f", "app", True),
        ("f", "pages", False),
    ]


@pytest.mark.parametrize(
    "condition",
    ["", "if !named", "if ! named", "if !{ path /ws }", "unless named", "if { path /news }", "if other"],
)
def test_any_other_condition_makes_none(condition: str) -> None:
    text = f"acl named hdr(Upgrade) -i WebSocket\n acl other path /x\n use_backend app {condition}\n"
    assert routes(f"frontend f\n {text}{BACKENDS}") == [("f", "app", False)]


@pytest.mark.parametrize(
    "backend",
    [
        "backend be_ws\n server s h:1\n",
        "backend app\n server s h:1 ws h1 check\n",
        "backend app\n timeout tunnel 1h\n server s h:1\n",
        "backend app\n http-request set-timeout tunnel 1h\n server s h:1\n",
    ],
)
def test_a_backend_may_tell_that_it_is_made_for_tunnels(backend: str) -> None:
    name = backend.split()[1]
    assert routes(f"frontend f\n default_backend {name}\n{backend}") == [("f", name, True)]


def test_a_listen_is_a_route_of_its_own_and_may_lead_elsewhere() -> None:
    text = "listen l\n use_backend app if { path /ws }\n server s 127.0.0.1:1\n"
    assert routes(text + BACKENDS) == [("l", "app", True), ("l", "l", False)]


def test_sections_without_servers_carry_no_tunnels() -> None:
    text = "listen stats\n stats enable\nfrontend f\n default_backend none\nbackend none\n"
    assert routes(text) == []


def test_a_computed_backend_may_be_any_of_the_same_mode() -> None:
    text = "defaults\n mode http\nfrontend f\n use_backend %[req.hdr(host),map(/m)]\n" + BACKENDS
    tcp = "backend db\n mode tcp\n server s 127.0.0.1:3\n"
    assert routes(text + tcp) == [("f", "app", False), ("f", "pages", False)]


@pytest.mark.parametrize(
    "text", ["", "\n\n", "timeout tunnel 1h\n", "defaults", "backend\n", '"', "backend a from\n", ".endif\n"]
)
def test_no_text_is_an_error(text: str) -> None:
    assert config(text).routes == ()
