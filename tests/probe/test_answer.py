import pytest

from wsload.probe.answer import NotHttpError, Response, meaning, parse_response, quoted, upgrade_problem
from wsload.units import NS_PER_MS, NS_PER_S
from wsload.wire.handshake import Upgrade, build_upgrade

UPGRADE: Upgrade = build_upgrade("host", "/", bytes(16), {}, ())
HAPROXY_503 = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 107\r\ncache-control: no-cache\r\n"
    b"content-type: text/html\r\n\r\n<html><body><h1>503 Service Unavailable</h1>\n"
    b"No server is available to handle this request.\n</body></html>\n"
)


def response(data: bytes) -> Response:
    found = parse_response(data)
    assert found is not None
    return found


def switching(*lines: str) -> bytes:
    return "\r\n".join(("HTTP/1.1 101 Switching Protocols", *lines, "", "")).encode()


GOOD = ("Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Accept: {UPGRADE.accept.decode()}")


def test_a_head_is_read_only_once_it_is_complete() -> None:
    assert parse_response(HAPROXY_503[:40]) is None
    assert response(HAPROXY_503).status_line == "503 Service Unavailable"


def test_haproxys_own_error_page_is_told_from_a_servers() -> None:
    assert response(HAPROXY_503).is_haproxy_page
    assert response(HAPROXY_503).body_line == "No server is available to handle this request."
    with_server = HAPROXY_503.replace(b"cache-control", b"server: nginx\r\ncache-control")
    assert not response(with_server).is_haproxy_page


@pytest.mark.parametrize(
    ("data", "says"), [(b"\x15\x03\x01\x00\x02", "TLS"), (b"SSH-2.0-OpenSSH\r\n", 'but "SSH-2.0-OpenSSH"')]
)
def test_what_speaks_no_http_is_quoted(data: bytes, says: str) -> None:
    with pytest.raises(NotHttpError, match=says):
        parse_response(data)


def test_nothing_from_outside_reaches_the_terminal_unprintable() -> None:
    found = response(b"HTTP/1.1 200 \x1b[2J\r\nServer: a\x07b\r\n\r\n\x1b]0;title\x07")
    assert found.servers == "Server: a?b"
    assert found.reason == "?[2J"
    assert "\x1b" not in found.body_line + quoted(b"\x1b[31m")


def test_who_answered_is_told_and_a_cookies_value_is_not() -> None:
    found = response(b"HTTP/1.1 200 OK\r\nVia: 1.1 edge\r\nSet-Cookie: SESSION=secret; Path=/\r\n\r\n")
    assert found.servers == "Via: 1.1 edge, sets cookie SESSION"


def test_a_proper_answer_has_no_problem() -> None:
    head = switching(*GOOD, "Server: x")
    assert upgrade_problem(response(head), head, UPGRADE, ()) == ""


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (GOOD[1:], 'without "Upgrade: websocket"'),
        ((GOOD[0], GOOD[2]), 'without "Connection: Upgrade"'),
        (GOOD[:2], "without Sec-WebSocket-Accept"),
        ((*GOOD[:2], "Sec-WebSocket-Accept: AAAA"), "wrong Sec-WebSocket-Accept AAAA"),
        ((*GOOD, "Sec-WebSocket-Extensions: permessage-deflate"), "extension nobody offered"),
        ((*GOOD, "Sec-WebSocket-Protocol: chat"), "subprotocol chat, which was not offered"),
        ((*GOOD, "Upgrade: websocket"), "no valid WebSocket answer"),
    ],
)
def test_each_fault_of_a_101_is_named(lines: tuple[str, ...], says: str) -> None:
    head = switching(*lines)
    assert says in upgrade_problem(response(head), head, UPGRADE, ())


@pytest.mark.parametrize(
    ("status", "took_ns", "says"),
    [
        (400, 0, "PR--"),
        (403, 0, "Origin"),
        (404, 0, "not routed"),
        (426, 0, "drops Connection and Upgrade"),
        (502, 0, "SH--"),
        (503, NS_PER_MS, "no server is up"),
        (503, 3 * NS_PER_S, "retries ran out"),
        (503, 8 * NS_PER_S, "timeout queue"),
        (504, NS_PER_S, "timeout server"),
        (418, 0, ""),
    ],
)
def test_a_status_is_explained_as_it_is_meant_behind_haproxy(status: int, took_ns: int, says: str) -> None:
    words = meaning(response(f"HTTP/1.1 {status} X\r\n\r\n".encode()), took_ns)
    assert says in words
    assert bool(words) is bool(says)


def test_a_redirect_says_what_to_probe_instead() -> None:
    found = response(b"HTTP/1.1 301 Moved\r\nLocation: https://other.example/ws\r\n\r\n")
    assert "probe https://other.example/ws" in meaning(found, 0)
