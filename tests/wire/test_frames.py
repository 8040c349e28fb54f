import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.protocol import Side
from websockets.server import ServerProtocol

from wsload.wire.closing import close_payload, is_plain_close, parse_close
from wsload.wire.frames import (
    BINARY,
    PING,
    STAMP_BYTES,
    PlainMessage,
    StampedMessage,
    build_frame,
    short_header,
    split_frames,
)

MASK = b"\x12\x34\x56\x78"


def as_a_server_reads(data: bytes) -> list[tuple[int, bytes]]:
    server = ServerProtocol(max_size=None)
    server.state = server.state.OPEN
    assert server.side is Side.SERVER
    server.parser = super(ServerProtocol, server).parse()
    next(server.parser)
    server.receive_data(data)
    return [(int(event.opcode), bytes(event.data)) for event in server.events_received()]  # type: ignore[union-attr]


@given(
    st.one_of(st.binary(max_size=130), st.integers(65_530, 65_540).map(bytes)),
    st.binary(min_size=4, max_size=4),
)
def test_a_server_reads_back_every_frame_we_build(payload: bytes, mask: bytes) -> None:
    assert as_a_server_reads(build_frame(BINARY, payload, mask)) == [(BINARY, payload)]


@given(st.integers(0, 130))
def test_a_short_header_is_what_a_server_puts_before_a_payload_that_has_one(size: int) -> None:
    server = ServerProtocol()
    server.state = server.state.OPEN
    server.send_binary(bytes(size))
    assert server.data_to_send() == [
        (short_header(BINARY, size) or bytes((0x82, 126, 0, size))) + bytes(size)
    ]
    assert bool(short_header(BINARY, size)) == (size <= 125)


@given(
    st.integers(STAMP_BYTES, 300),
    st.integers(0, 2**63),
    st.integers(0, 2**63),
    st.binary(min_size=4, max_size=4),
)
def test_a_stamped_message_carries_both_times_and_has_its_size(
    size: int, intended_ns: int, sent_ns: int, mask: bytes
) -> None:
    builder = StampedMessage(BINARY, size, mask)
    frame = builder.build(intended_ns, sent_ns)
    ((opcode, payload),) = as_a_server_reads(frame)
    assert (opcode, len(payload), len(frame)) == (BINARY, size, builder.frame_bytes)
    assert struct.unpack_from("<QQ", payload) == (intended_ns, sent_ns)
    assert not any(payload[STAMP_BYTES:])


def test_a_stamped_ping_is_a_legal_control_frame() -> None:
    ((opcode, payload),) = as_a_server_reads(StampedMessage(PING, STAMP_BYTES, MASK).build(1, 2))
    assert (opcode, len(payload)) == (PING, STAMP_BYTES)


@pytest.mark.parametrize("size", [0, 1, 15])
def test_a_message_too_small_for_a_stamp_is_zeros(size: int) -> None:
    builder = PlainMessage(BINARY, size, MASK)
    assert as_a_server_reads(builder.build(1, 2)) == [(BINARY, bytes(size))]


def test_what_follows_a_close_frame_is_not_looked_at() -> None:
    data = b"\x88\x02\x03\xe8" + b"\x82\x01x"
    frames, consumed, odd = split_frames(data)
    assert frames == [(8, True, b"\x03\xe8")]
    assert (consumed, odd) == (4, False)


@pytest.mark.parametrize(
    ("payload", "plain"),
    [
        (b"", True),
        (close_payload(1000), True),
        (close_payload(1001, "away"), True),
        (close_payload(4321), True),
        (close_payload(1005), False),
        (close_payload(1006), False),
        (close_payload(999), False),
        (b"\x03", False),
        (close_payload(1000) + b"\xff", False),
    ],
)
def test_only_legal_close_payloads_are_answered_in_kind(payload: bytes, plain: bool) -> None:
    assert is_plain_close(payload) is plain


def test_a_close_payload_is_read_back() -> None:
    assert parse_close(close_payload(1001, "idle timeout")) == (1001, "idle timeout")
    assert parse_close(b"") == (1005, "")
