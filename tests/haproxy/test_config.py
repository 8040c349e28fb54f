import json
import re

import pytest

from wsload.haproxy.config import abns_address, effective_timers_ms, haproxy_time, log_format, render
from wsload.profile.model import DEFAULT_TIMEOUTS_NS, TIMEOUT_NAMES, Haproxy
from wsload.units import NS_PER_MS, NS_PER_S


def rendered(haproxy: Haproxy | None = None, **changes: object) -> str:
    arguments: dict[str, object] = {
        "index": 0,
        "port": 8080,
        "backend_servers": ["127.0.0.1:9001"],
        "path": "/ws",
        "source_ip": None,
        "stats_name": "wsload-stats",
        "log_address": "127.0.0.1:5140",
        "version": "2.6.12",
    }
    part = haproxy or Haproxy(maxconn=5000, timeouts_ns=DEFAULT_TIMEOUTS_NS)
    return render(part, **(arguments | changes))  # type: ignore[arg-type]


def settings(text: str) -> list[str]:
    """The lines that are no comments, without their indentation."""
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def test_websocket_requests_go_to_the_tunnels_and_all_else_to_the_pages() -> None:
    lines = settings(rendered())
    assert "acl is_websocket hdr(Upgrade) -i websocket" in lines
    assert "acl is_websocket_path path /ws" in lines
    assert "use_backend tunnels if is_websocket is_websocket_path" in lines
    assert "default_backend pages" in lines
    assert lines.count("maxconn 5000") == 2  # the process's and the frontend's; never a server's


def test_no_server_gets_a_maxconn_of_its_own() -> None:
    servers = [line for line in settings(rendered()) if line.startswith("server ")]
    assert servers == ["server tunnel1 127.0.0.1:9001", "server page1 127.0.0.1:9001"]


def test_several_servers_are_balanced_by_the_fewest_tunnels() -> None:
    lines = settings(rendered(backend_servers=["127.0.0.1:1", "127.0.0.2:2"]))
    start = lines.index("backend tunnels")
    assert lines[start + 1 : start + 4] == [
        "balance leastconn",
        "server tunnel1 127.0.0.1:1",
        "server tunnel2 127.0.0.2:2",
    ]


def test_a_source_address_stands_on_every_server_line() -> None:
    servers = [line for line in settings(rendered(source_ip="127.0.1.2")) if line.startswith("server ")]
    assert servers
    assert all(line.endswith(" source 127.0.1.2") for line in servers)


@pytest.mark.parametrize(
    ("source_ip", "words"),
    [(None, " source 0.0.0.0:20000-20099"), ("127.0.1.2", " source 127.0.1.2:20000-20099")],
)
def test_local_ports_toward_the_servers_stand_there_as_well(source_ip: str | None, words: str) -> None:
    haproxy = Haproxy(maxconn=50, source_ports=(20_000, 20_099))
    servers = [
        line for line in settings(rendered(haproxy, source_ip=source_ip)) if line.startswith("server ")
    ]
    assert servers
    assert all(line.endswith(words) for line in servers)


def test_a_maxconn_that_is_left_to_haproxy_stands_nowhere() -> None:
    assert not any(line.startswith("maxconn") for line in settings(rendered(Haproxy(maxconn=0, nofile=400))))


def test_only_timeouts_that_are_set_are_written_and_by_haproxys_names() -> None:
    timeouts = {"connect": 5 * NS_PER_S, "client": 1500 * NS_PER_MS, "client-fin": NS_PER_S}
    lines = settings(rendered(Haproxy(timeouts_ns=timeouts)))
    assert [line for line in lines if line.startswith("timeout ")] == [
        "timeout connect 5s",
        "timeout client 1500ms",
        "timeout client-fin 1s",
    ]


def test_a_missing_tunnel_timeout_is_explained() -> None:
    assert 'No "timeout tunnel"' in rendered(Haproxy(timeouts_ns={"client": NS_PER_S}))
    assert 'No "timeout tunnel"' not in rendered()


def test_hard_stop_after_is_a_global_setting() -> None:
    lines = settings(rendered(Haproxy(timeouts_ns={"hard-stop-after": 3 * NS_PER_S})))
    assert lines.index("hard-stop-after 3s") < lines.index("defaults")
    assert not any(line.startswith("timeout hard-stop-after") for line in lines)


def test_every_timeout_of_the_profile_is_known_here() -> None:
    text = rendered(Haproxy(timeouts_ns=dict.fromkeys(TIMEOUT_NAMES, NS_PER_S)))
    assert all(re.search(rf"^ +(timeout )?{name} 1s$", text, re.MULTILINE) for name in TIMEOUT_NAMES)


def test_threads_and_the_abstract_stats_socket_are_written() -> None:
    lines = settings(rendered(Haproxy(threads=4)))
    assert "nbthread 4" in lines
    assert "stats socket abns@wsload-stats level admin expose-fd listeners" in lines


def test_without_a_maxconn_haproxy_chooses() -> None:
    assert not any(line.startswith("maxconn") for line in settings(rendered(Haproxy(maxconn=0))))


def test_without_a_log_address_nothing_about_logs_is_written() -> None:
    assert not any("log" in line for line in settings(rendered(log_address=None)))


def test_a_path_is_quoted_and_its_query_left_out() -> None:
    assert "acl is_websocket_path path '/a#b'" in settings(rendered(path="/a#b?token=1"))


def test_the_file_ends_with_the_newline_that_haproxy_insists_on() -> None:
    assert rendered().endswith("\n")


def test_every_setting_that_is_not_plain_has_a_comment_before_it() -> None:
    text = rendered(source_ip="127.0.1.1")
    for setting in (
        "noreuseport",
        "stats socket",
        "log ",
        "timeout tunnel",
        "log-format",
        "balance leastconn",
    ):
        assert re.search(rf"^ +#.*\n +{setting}", text, re.MULTILINE), setting


@pytest.mark.parametrize(
    ("version", "more"),
    [
        ("2.6.12", set()),
        ("2.9.1", set()),
        ("3.0.11", {"fc_err", "bc_err"}),
        ("3.2.26", {"fc_err", "bc_err", "term_events"}),
        ("4.0-dev3", {"fc_err", "bc_err", "term_events"}),
    ],
)
def test_the_log_line_is_json_and_grows_with_the_release(version: str, more: set[str]) -> None:
    sample = re.sub(r"%\[[^\]]*\]|%[A-Za-z]+", "0", log_format(version))
    fields = set(json.loads(sample))
    assert {"ts", "Tt", "ci", "cp", "bi", "bp", "id", "r", "sq"} <= fields
    assert fields & {"fc_err", "bc_err", "term_events"} == more


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (86400 * NS_PER_S, "1d"),
        (3600 * NS_PER_S, "1h"),
        (90 * NS_PER_S, "90s"),
        (1500 * NS_PER_MS, "1500ms"),
        (1, "1ms"),
        (0, "0ms"),
    ],
)
def test_a_duration_is_written_in_its_largest_exact_unit(ns: int, text: str) -> None:
    assert haproxy_time(ns) == text


def test_the_timers_in_force_have_haproxys_fall_backs() -> None:
    assert effective_timers_ms(Haproxy(timeouts_ns=DEFAULT_TIMEOUTS_NS)) == {
        "connect": 5000,
        "client": 30000,
        "server": 30000,
        "tunnel": 3600000,
        "queue": 5000,
        "http-request": 30000,
        "http-keep-alive": 30000,
    }


def test_a_timer_of_its_own_wins_over_a_fall_back() -> None:
    timeouts = {
        "connect": NS_PER_S,
        "client": 9 * NS_PER_S,
        "queue": 2 * NS_PER_S,
        "http-request": 3 * NS_PER_S,
    }
    assert effective_timers_ms(Haproxy(timeouts_ns=timeouts)) == {
        "connect": 1000,
        "client": 9000,
        "queue": 2000,
        "http-request": 3000,
        "http-keep-alive": 3000,
    }


def test_a_timer_of_zero_is_off() -> None:
    assert effective_timers_ms(Haproxy(timeouts_ns={"tunnel": 0, "server": NS_PER_S})) == {"server": 1000}


def test_an_abstract_name_is_padded_to_the_whole_address() -> None:
    assert abns_address("n") == b"\0n" + bytes(106)
