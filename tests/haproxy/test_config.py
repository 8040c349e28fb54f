import json
import re
from typing import Any

import pytest

from wsload.haproxy.config import (
    Route,
    abns_address,
    effective_timers_ms,
    log_format,
    render,
)
from wsload.profile.model import DEFAULT_TIMEOUTS_NS, TIMEOUT_NAMES, TUNNEL_TIMEOUT_HEADER, Haproxy
from wsload.units import NS_PER_MS, NS_PER_S


def route(haproxy: Haproxy | None = None, **changes: Any) -> Route:
    arguments: dict[str, Any] = {
        "haproxy": haproxy or Haproxy(maxconn=5000, timeouts_ns=DEFAULT_TIMEOUTS_NS),
        "servers": ("127.0.0.1:9001",),
        "path": "/ws",
        "log_address": "127.0.0.1:5140",
    }
    return Route(**(arguments | changes))


def written(*routes: Route, index: int = 0, source_ip: str | None = None, version: str = "2.6.12") -> str:
    return render(
        routes,
        index=index,
        ports=[8080 + number for number in range(len(routes))],
        source_ip=source_ip,
        stats_name="wsload-stats",
        version=version,
    )


def rendered(haproxy: Haproxy | None = None, source_ip: str | None = None, **changes: Any) -> str:
    return written(route(haproxy, **changes), source_ip=source_ip)


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
    lines = settings(rendered(servers=("127.0.0.1:1", "127.0.0.2:2")))
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


def test_each_route_has_its_own_timeouts_slots_log_and_servers() -> None:
    short = route(
        Haproxy(maxconn=100, timeouts_ns={"tunnel": NS_PER_S}), log_address="127.0.0.1:1", label="tunnel=1s"
    )
    long = route(
        Haproxy(maxconn=200, timeouts_ns={"tunnel": 9 * NS_PER_S}),
        log_address="127.0.0.1:2",
        servers=("127.0.0.1:9002",),
    )
    text = written(short, long)
    assert "# ---- tunnel=1s ----" in text
    whole, first, second = "\n".join(settings(text)).split("defaults\n")
    assert "maxconn 300" in whole
    for part, expected in (
        (
            first,
            (
                "frontend clients-1",
                "bind 127.0.0.1:8080",
                "log 127.0.0.1:1 ",
                "maxconn 100",
                "timeout tunnel 1s",
                "backend tunnels-1",
                "use_backend tunnels-1 if",
                "default_backend pages-1",
                "server tunnel1 127.0.0.1:9001",
            ),
        ),
        (
            second,
            (
                "frontend clients-2",
                "bind 127.0.0.1:8081",
                "log 127.0.0.1:2 ",
                "maxconn 200",
                "timeout tunnel 9s",
                "backend tunnels-2",
                "use_backend tunnels-2 if",
                "default_backend pages-2",
                "server tunnel1 127.0.0.1:9002",
            ),
        ),
    ):
        assert [wanted for wanted in expected if wanted not in part] == []


def test_a_request_may_bring_its_own_tunnel_timeout_only_where_a_cohort_has_one() -> None:
    asks = f"http-request set-timeout tunnel req.hdr({TUNNEL_TIMEOUT_HEADER})"
    lines = settings(rendered(takes_timeouts=True))
    at = next(number for number, line in enumerate(lines) if line.startswith(asks))
    assert lines.index("backend tunnels") < at < lines.index("backend pages")
    assert lines[at + 1] == f"http-request del-header {TUNNEL_TIMEOUT_HEADER}"
    assert TUNNEL_TIMEOUT_HEADER not in rendered()
