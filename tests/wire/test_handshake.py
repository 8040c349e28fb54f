import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.headers import build_subprotocol
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from wsload.wire.handshake import Answer, Upgrade, accept_value, build_upgrade, check_answer
from wsload.wire.reference import HandshakeJudge

UPGRADE = build_upgrade("example:80", "/ws", bytes(range(16)), {}, ())


def good_answer(extra: str = "", accept: bytes = UPGRADE.accept) -> bytes:
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n" + extra.encode() + b"\r\n"
    )


def test_the_accept_value_is_that_of_the_rfcs_example() -> None:
    assert accept_value("dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_a_websockets_server_accepts_the_prebuilt_request() -> None:
    upgrade = build_upgrade("h:1", "/a?b=c", bytes(16), {"Origin": "https://app.example"}, ("chat", "v2"))
    server = ServerProtocol(subprotocols=[Subprotocol("v2")])
    server.receive_data(upgrade.request)
    (request,) = server.events_received()
    assert isinstance(request, Request)
    response = server.accept(request)
    assert response.status_code == 101
    assert response.headers["Sec-WebSocket-Accept"].encode() == upgrade.accept
    assert request.path == "/a?b=c"
    assert request.headers["Origin"] == "https://app.example"
    assert request.headers["Sec-WebSocket-Protocol"] == build_subprotocol(
        [Subprotocol("chat"), Subprotocol("v2")]
    )


def test_a_host_among_the_headers_replaces_the_endpoints() -> None:
    request = build_upgrade("127.0.0.1:1", "/", bytes(16), {"host": "app.example"}, ()).request
    assert request.count(b"Host: ") == 1
    assert b"Host: app.example\r\n" in request


def test_the_common_answer_is_accepted_and_says_where_frames_begin() -> None:
    data = good_answer() + b"\x81\x00"
    assert check_answer(data, UPGRADE.accept) == (Answer.ACCEPTED, len(data) - 2)


@given(st.integers(0, len(good_answer()) - 1))
def test_any_part_of_the_common_answer_is_incomplete(length: int) -> None:
    assert check_answer(good_answer()[:length], UPGRADE.accept)[0] is Answer.INCOMPLETE


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 503 Service Unavailable\r\n\r\n",
        b"HTTP/1.0 101 Switching Protocols\r\n\r\n",
        good_answer(accept=b"AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        good_answer("Sec-WebSocket-Protocol: chat\r\n"),
        good_answer("Sec-WebSocket-Extensions: permessage-deflate\r\n"),
        good_answer("Upgrade: h2c\r\n"),
        good_answer().replace(b"Upgrade: websocket\r\n", b""),
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ],
)
def test_anything_else_goes_to_the_reference_lane(answer: bytes) -> None:
    assert check_answer(answer, UPGRADE.accept)[0] is Answer.ODD


header_lines = st.lists(
    st.sampled_from(
        [
            b"Upgrade: websocket",
            b"upgrade: WebSocket",
            b"Upgrade: h2c",
            b"Connection: Upgrade",
            b"Connection: keep-alive, Upgrade",
            b"Connection: close",
            b"Sec-WebSocket-Accept: " + UPGRADE.accept,
            b"Sec-WebSocket-Accept: wrong",
            b"sec-websocket-accept:" + UPGRADE.accept,
            b"Sec-WebSocket-Protocol: chat",
            b"Sec-WebSocket-Extensions: permessage-deflate",
            b"Server: haproxy",
        ]
    ),
    max_size=6,
)


@given(st.sampled_from([b"101 Switching Protocols", b"200 OK"]), header_lines)
def test_what_the_fast_lane_accepts_the_reference_lane_accepts_too(status: bytes, lines: list[bytes]) -> None:
    answer = b"\r\n".join([b"HTTP/1.1 " + status, *lines]) + b"\r\n\r\n"
    if check_answer(answer, UPGRADE.accept)[0] is Answer.ACCEPTED:
        assert HandshakeJudge(UPGRADE.key, ()).receive(answer) == ""


def judged(upgrade: Upgrade, pieces: list[bytes], subprotocols: tuple[str, ...] = ()) -> str | None:
    judge = HandshakeJudge(upgrade.key, subprotocols)
    verdict = None
    for piece in pieces:
        verdict = judge.receive(piece)
        if verdict is not None:
            break
    return judge.end() if verdict is None else verdict


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno", "503"),
        (b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\nbody until the end", "403"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "200"),
        (good_answer(accept=b"wrong"), "invalid"),
        (b"", "closed"),
        (b"HTTP/1.1 101 Swi", "closed"),
    ],
)
def test_the_reference_lane_names_each_refusal(answer: bytes, verdict: str) -> None:
    assert judged(UPGRADE, [answer] if answer else []) == verdict


def test_a_subprotocol_we_offered_is_accepted_by_the_reference_lane() -> None:
    answer = good_answer("Sec-WebSocket-Protocol: chat\r\n")
    assert judged(UPGRADE, [answer], ("chat",)) == ""
    assert judged(UPGRADE, [answer]) == "invalid"


@given(st.lists(st.integers(1, 40), max_size=8))
def test_the_reference_lane_takes_a_refusal_in_any_pieces(lengths: list[int]) -> None:
    rest = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno"
    pieces = []
    for length in lengths:
        pieces.append(rest[:length])
        rest = rest[length:]
    assert judged(UPGRADE, [piece for piece in [*pieces, rest] if piece]) == "503"
