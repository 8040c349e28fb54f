"""Answers to HTTP requests."""

import pytest
from websockets.client import ClientProtocol
from websockets.http11 import Response
from websockets.uri import parse_uri

from wsload.backend.handshake import After, Answer, BadRequestError, answer, parse_request

UPGRADE = {
    "Host": "x",
    "Upgrade": "websocket",
    "Connection": "keep-alive, Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}


def asked(line: str, headers: dict[str, str]) -> Answer:
    head = "\r\n".join((line, *(f"{name}: {value}" for name, value in headers.items()), "", ""))
    request = parse_request(head.encode())
    assert request is not None
    return answer(request)


def without(name: str) -> dict[str, str]:
    return {key: value for key, value in UPGRADE.items() if key != name}


def test_the_example_of_rfc_6455_gets_its_accept_value() -> None:
    response, after, status = asked("GET /ws HTTP/1.1", UPGRADE)
    assert status == 101
    assert response.startswith(b"HTTP/1.1 101 ")
    assert b"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in response
    assert after is After.TUNNEL


def test_the_client_of_websockets_accepts_the_upgrade_without_its_compression() -> None:
    client = ClientProtocol(parse_uri("ws://x/ws"), subprotocols=None)
    request = client.connect()
    request.headers["Sec-WebSocket-Extensions"] = "permessage-deflate; client_max_window_bits"
    client.send_request(request)
    parsed = parse_request(b"".join(client.data_to_send()))
    assert parsed is not None
    client.receive_data(answer(parsed).response)
    assert isinstance(client.events_received()[0], Response)
    assert client.handshake_exc is None
    assert client.extensions == []


@pytest.mark.parametrize("offered", ["chat, superchat", "chat ,superchat", "chat"])
def test_the_first_subprotocol_offered_is_taken(offered: str) -> None:
    response = asked("GET / HTTP/1.1", {**UPGRADE, "Sec-WebSocket-Protocol": offered}).response
    assert b"\r\nSec-WebSocket-Protocol: chat\r\n" in response


def test_subprotocols_offered_in_two_headers_count_as_one_list() -> None:
    head = "GET / HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in UPGRADE.items())
    request = parse_request(f"{head}Sec-WebSocket-Protocol: a\r\nsec-websocket-protocol: b\r\n\r\n".encode())
    assert request is not None
    assert request.headers[b"sec-websocket-protocol"] == b"a, b"


@pytest.mark.parametrize(
    ("line", "headers", "status"),
    [
        ("POST / HTTP/1.1", UPGRADE, 400),
        ("GET / HTTP/1.0", UPGRADE, 400),
        ("GET / HTTP/1.1", without("Connection"), 400),
        ("GET / HTTP/1.1", without("Sec-WebSocket-Key"), 400),
        ("GET / HTTP/1.1", {**UPGRADE, "Sec-WebSocket-Key": "c2hvcnQ="}, 400),
        ("GET / HTTP/1.1", {**UPGRADE, "Sec-WebSocket-Key": "no base64"}, 400),
        ("GET / HTTP/1.1", {**UPGRADE, "Sec-WebSocket-Version": "8"}, 426),
        ("GET / HTTP/1.1", without("Sec-WebSocket-Version"), 426),
    ],
)
def test_an_improper_upgrade_is_refused(line: str, headers: dict[str, str], status: int) -> None:
    response, after, answered = asked(line, headers)
    assert answered == status
    assert response.startswith(b"HTTP/1.1 %d " % status)
    assert (b"Sec-WebSocket-Version: 13" in response) == (status == 426)
    assert after is After.REFUSED


@pytest.mark.parametrize(
    ("line", "headers", "after"),
    [
        ("GET / HTTP/1.1", {}, After.KEEP),
        ("GET / HTTP/1.1", {"Connection": "close"}, After.CLOSE),
        ("GET / HTTP/1.0", {}, After.CLOSE),
        ("GET / HTTP/1.0", {"Connection": "Keep-Alive"}, After.KEEP),
        ("OPTIONS / HTTP/1.1", {}, After.KEEP),
        ("GET / HTTP/1.1", {"Content-Length": "0"}, After.KEEP),
        ("POST / HTTP/1.1", {"Content-Length": "3"}, After.CLOSE),
        ("POST / HTTP/1.1", {"Transfer-Encoding": "chunked"}, After.CLOSE),
        ("GET / HTTP/1.1", {"Upgrade": "h2c", "Connection": "Upgrade"}, After.KEEP),
    ],
)
def test_plain_http_gets_200(line: str, headers: dict[str, str], after: After) -> None:
    result = asked(line, headers)
    assert result.response.startswith(b"HTTP/1.1 200 OK\r\n")
    head, _, body = result.response.partition(b"\r\n\r\n")
    assert b"Content-Length: %d" % len(body) in head
    assert result.after is after


def test_head_gets_the_length_but_no_body() -> None:
    response = asked("HEAD / HTTP/1.1", {}).response
    assert b"Content-Length: 15\r\n" in response
    assert response.endswith(b"\r\n\r\n")


def test_a_head_in_pieces_is_waited_for_and_its_size_told() -> None:
    head = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    assert all(parse_request(head[:end]) is None for end in range(len(head)))
    request = parse_request(head + b"rest")
    assert request is not None
    assert request.size == len(head)


@pytest.mark.parametrize(
    "head",
    [
        b"hello\r\n\r\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"G@T / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\n folded: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n: x\r\n\r\n",
        b"x" * 16385,
        b"GET /" + b"x" * 16384 + b" HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_http_request_is_refused(head: bytes) -> None:
    with pytest.raises(BadRequestError):
        parse_request(head)
