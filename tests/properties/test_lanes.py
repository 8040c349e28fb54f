"""Any chunking of any bytes gives the same events in the fast lane and in websockets' own protocol."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Opcode

from wsload.wire.frames import CLOSE, Frame, split_frames
from wsload.wire.reference import ReferenceLane


class FastThenReference:
    """What a tunnel does: the fast lane, until bytes come that it does not take."""

    def __init__(self) -> None:
        self._pending = b""
        self._reference: ReferenceLane | None = None
        self._closed = False

    def receive(self, data: bytes) -> list[Frame]:
        if self._closed:
            return []
        if self._reference is not None:
            return self._reference.receive(data)[0]
        data = self._pending + data
        frames, consumed, odd = split_frames(data)
        self._pending = data[consumed:]
        self._closed = any(opcode == CLOSE for opcode, _, _ in frames)
        if odd:
            self._reference = ReferenceLane()
            frames += self._reference.receive(self._pending)[0]
        return frames


def server_frame(opcode: Opcode, payload: bytes, fin: bool, rsv1: bool) -> bytes:
    """Built by hand: a library refuses to build what is wrong."""
    first = fin << 7 | rsv1 << 6 | opcode
    if len(payload) < 126:
        return bytes((first, len(payload))) + payload
    if len(payload) < 1 << 16:
        return bytes((first, 126)) + len(payload).to_bytes(2, "big") + payload
    return bytes((first, 127)) + len(payload).to_bytes(8, "big") + payload


close_payloads = st.one_of(
    st.just(b""),
    st.binary(max_size=4),
    st.builds(
        lambda code, reason: code.to_bytes(2, "big") + reason.encode()[:100],
        st.integers(0, 5000),
        st.text(max_size=10),
    ),
)
control = st.builds(
    server_frame,
    st.sampled_from([Opcode.PING, Opcode.PONG]),
    st.binary(max_size=125),
    st.just(True),
    st.just(False),
)
data_frame = st.builds(
    server_frame,
    st.sampled_from([Opcode.TEXT, Opcode.BINARY]),
    st.one_of(st.binary(max_size=130), st.integers(65_530, 65_540).map(bytes)),
    st.just(True),
    st.just(False),
)
odd_frame = st.builds(
    server_frame,
    st.sampled_from([Opcode.TEXT, Opcode.BINARY, Opcode.CONT]),
    st.binary(max_size=20),
    st.booleans(),
    st.booleans(),
)
closing = st.builds(server_frame, st.just(Opcode.CLOSE), close_payloads, st.just(True), st.just(False))
streams = st.lists(
    st.one_of(data_frame, control, odd_frame, closing, st.binary(max_size=12)), max_size=6
).map(b"".join)


def chunks(stream: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    return [stream[start:end] for start, end in pairwise(places)]


@given(streams, st.lists(st.integers(0, 400), max_size=8))
def test_both_lanes_see_the_same_frames_in_any_chunking(stream: bytes, cuts: list[int]) -> None:
    ours, oracle = FastThenReference(), ReferenceLane()
    seen = [frame for chunk in chunks(stream, cuts) for frame in ours.receive(chunk)]
    expected = oracle.receive(stream)[0] if stream else []
    assert seen == expected
