"""What a tunnel answers, against websockets' Sans-I/O server as the oracle."""

import asyncio
import struct
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.utils import apply_mask

from tests.backend.transport import RecordingTransport
from wsload.backend.behaviour import respond
from wsload.backend.frames import MAX_MESSAGE_BYTES, FrameReader, close_frame
from wsload.backend.messages import Serve
from wsload.backend.server import Server
from wsload.profile.model import Reply

MASK = b"\x11\x22\x33\x44"


Feed = Callable[[list[bytes]], tuple[bytes, bool]]


@pytest.fixture(scope="module")
def echoed() -> Iterator[Feed]:
    """Feeds pieces to an echoing tunnel; gives what it wrote and whether it ended the connection."""

    async def make_server() -> Server:
        return Server(Serve(listeners=[]))

    with asyncio.Runner() as runner:
        server = runner.run(make_server())

        def feed(pieces: list[bytes]) -> tuple[bytes, bool]:
            transport = RecordingTransport()
            server.open_tunnel(transport, b"", b"")
            for piece in pieces:
                transport.receive(piece)
            return transport.written, transport.ended

        yield feed


def masked(first: int, payload: bytes, mask: bytes = MASK) -> bytes:
    length = len(payload)
    if length < 126:
        header = struct.pack("!BB", first, 0x80 | length)
    elif length < 65536:
        header = struct.pack("!BBH", first, 0x80 | 126, length)
    else:
        header = struct.pack("!BBQ", first, 0x80 | 127, length)
    return header + mask + apply_mask(payload, mask)


def oracle(frames: list[bytes]) -> bytes:
    """What an echoing server made of websockets writes; one frame at a time, so that answers keep order."""
    server = ServerProtocol(state=State.OPEN, max_size=MAX_MESSAGE_BYTES)
    written = b""
    for frame in frames:
        server.receive_data(frame)
        for event in server.events_received():
            assert isinstance(event, Frame)
            if event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT) and server.state is State.OPEN:
                server.send_frame(Frame(event.opcode, event.data, event.fin))
        written += b"".join(server.data_to_send())
        if server.state is not State.OPEN:
            break
    return written


payloads = st.one_of(
    st.binary(max_size=130),
    st.sampled_from([125, 126, 127, 65535, 65536]).map(lambda size: (bytes(range(256)) * 257)[:size]),
)
masks = st.binary(min_size=4, max_size=4)
controls = st.builds(masked, st.sampled_from([0x89, 0x8A]), st.binary(max_size=125), masks)  # ping, pong


@st.composite
def messages(draw: st.DrawFn) -> list[bytes]:
    """The frames of one message, perhaps fragmented with control frames between."""
    parts = draw(st.lists(payloads, min_size=1, max_size=3))
    opcode = draw(st.sampled_from([1, 2]))
    frames = []
    for index, part in enumerate(parts):
        fin = 0x80 if index == len(parts) - 1 else 0
        frames.append(masked(fin | (opcode if index == 0 else 0), part, draw(masks)))
        frames.extend(draw(st.lists(controls, max_size=1)))
    return frames


closes = st.sampled_from(
    [b"", b"\x03\xe8", b"\x03\xe9going away", b"\x0f\xa0" + "ü".encode(), b"\x13\x87", b"\x0b\xb8"]
).map(lambda payload: masked(0x88, payload))

FAULTS: dict[str, list[bytes]] = {
    "not masked": [b"\x82\x01x"],
    "RSV1": [masked(0xC2, b"x")],
    "RSV3": [masked(0x92, b"x")],
    "unknown data opcode": [masked(0x83, b"x")],
    "unknown control opcode": [masked(0x8B, b"x")],
    "long ping": [masked(0x89, bytes(126))],
    "fragmented ping": [masked(0x09, b"x")],
    "continuation of nothing": [masked(0x80, b"x")],
    "message within a message": [masked(0x01, b"x"), masked(0x82, b"x")],
    "close with half a code": [masked(0x88, b"\x03")],
    "close with 1005": [masked(0x88, b"\x03\xed")],
    "close with 999": [masked(0x88, b"\x03\xe7")],
    "close reason not UTF-8": [masked(0x88, b"\x03\xe8\xff")],
    "too long": [struct.pack("!BBQ", 0x82, 0xFF, MAX_MESSAGE_BYTES + 1)],
    "absurdly long": [struct.pack("!BBQ", 0x82, 0xFF, 2**63 - 1)],
}
faults = st.sampled_from(sorted(FAULTS)).map(FAULTS.__getitem__)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    borders = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in pairwise(borders)]


cuts = st.lists(st.integers(min_value=0, max_value=2**20), max_size=12)


@settings(max_examples=150, deadline=None)
@given(conversation=st.lists(messages(), max_size=4), close=st.lists(closes, max_size=1), places=cuts)
def test_any_cutting_of_any_frames_gets_the_answers_of_websockets(
    echoed: Feed, conversation: list[list[bytes]], close: list[bytes], places: list[int]
) -> None:
    frames = [frame for message in conversation for frame in message] + close
    written, ended = echoed(cut(b"".join(frames), places))
    assert written == oracle(frames)
    assert ended == bool(close)


@settings(max_examples=100, deadline=None)
@given(conversation=st.lists(messages(), max_size=2), fault=faults, places=cuts)
def test_a_fault_gets_the_close_code_of_websockets_after_the_answers_before_it(
    echoed: Feed, conversation: list[list[bytes]], fault: list[bytes], places: list[int]
) -> None:
    frames = [frame for message in conversation for frame in message] + fault
    written, ended = echoed(cut(b"".join(frames), places))
    before, expected = oracle(frames[:-1]), oracle(frames)
    assert written.startswith(before)
    # FIN and close opcode, the length, then the code; reasons may differ.
    ours, theirs = written[len(before) :], expected[len(before) :]
    assert (ours[0], ours[2:4]) == (theirs[0], theirs[2:4])
    assert ended


@settings(max_examples=50, deadline=None)
@given(payload=st.binary(max_size=125), mask=masks, opcode=st.sampled_from([1, 2]))
def test_a_small_whole_message_in_one_read_comes_back_unmasked(
    echoed: Feed, payload: bytes, mask: bytes, opcode: int
) -> None:
    written, ended = echoed([masked(0x80 | opcode, payload, mask)])
    assert written == bytes((0x80 | opcode, len(payload))) + payload
    assert not ended


def test_frames_one_byte_at_a_time_are_answered_as_they_complete(echoed: Feed) -> None:
    frames = [masked(0x01, b"ab"), masked(0x89, b"?"), masked(0x80, b"c"), masked(0x82, bytes(300))]
    data = b"".join(frames)
    assert echoed([data[index : index + 1] for index in range(len(data))])[0] == oracle(frames)


def test_a_read_that_looks_like_a_whole_message_within_another_is_not_taken_for_one(echoed: Feed) -> None:
    inner = masked(0x82, b"inner")
    # Its payload, as masked, is a frame.
    outer = masked(0x82, apply_mask(inner, MASK))
    assert echoed([outer[:6], outer[6:]])[0] == oracle([outer])
    written, ended = echoed([masked(0x01, b"a"), inner])
    assert (written[3:4], written[5:7]) == (b"\x88", b"\x03\xea")
    assert ended


def test_nothing_behind_a_close_frame_is_answered(echoed: Feed) -> None:
    written, ended = echoed([masked(0x88, b"\x03\xe8"), masked(0x81, b"late")])
    assert written == b"\x88\x02\x03\xe8"
    assert ended
    assert echoed([masked(0x88, b"\x03\xe8") + masked(0x81, b"late")]) == (written, True)


def test_fragments_that_add_up_over_the_cap_get_1009(echoed: Feed) -> None:
    half = bytes(MAX_MESSAGE_BYTES // 2 + 1)
    written, ended = echoed([masked(0x02, half), masked(0x80, half)])
    assert written[-len(half) :] != half
    assert ended
    assert (1009).to_bytes(2, "big") in written[len(half) :]


def test_a_message_of_just_the_cap_is_echoed(echoed: Feed) -> None:
    data = masked(0x82, bytes(MAX_MESSAGE_BYTES))
    pieces = [data[start : start + 262144] for start in range(0, len(data), 262144)]
    written, ended = echoed(pieces)
    assert len(written) == MAX_MESSAGE_BYTES + 10
    assert not ended


@pytest.mark.parametrize("reply", [Reply.SINK, Reply.PUSH])
def test_a_backend_that_does_not_echo_still_answers_pings_and_closes(reply: Reply) -> None:
    data = masked(0x81, b"text") + masked(0x89, b"?") + masked(0x88, b"\x03\xe8")
    answers, ending = respond(FrameReader(), data, reply)
    assert answers == b"\x8a\x01?" + close_frame(1000, "")
    assert ending is not None


def test_a_reader_is_clean_only_between_messages() -> None:
    reader = FrameReader()
    for data, clean in [
        (masked(0x01, b"a"), False),
        (masked(0x89, b""), False),
        (masked(0x80, b"b"), True),
        (masked(0x82, b"c")[:3], False),
        (masked(0x82, b"c")[3:], True),
    ]:
        list(reader.feed(data))
        assert reader.clean == clean
