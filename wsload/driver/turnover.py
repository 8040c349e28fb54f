"""Clients that go while the run lasts: when each vanishes or leaves, so that another can take its seat."""

from array import array
from functools import lru_cache

import numpy as np

from wsload.driver.scheduler import Timeline
from wsload.driver.tunnel import State, Tunnel
from wsload.plan.distributions import draw_ns, uniforms
from wsload.profile.model import Cohort, Distribution, Spread
from wsload.units import NS_PER_S
from wsload.wire.closing import NORMAL

_VANISH_STREAM, _SESSION_STREAM = 1, 2
"""Vanishing and leaving draw from streams of their own, beside those of the messages."""
_BLOCK = 256


class Turnover:
    """When each open tunnel of a cohort with turnover goes. Times are ns since the run's start.

    What a seat draws depends on its id and on how many clients it has had, not on when they came.
    """

    def __init__(self, seats: int, seed: int) -> None:
        """``seats`` is how many tunnels the worker has at a time."""
        self.timeline = Timeline()
        self._seed = seed
        self._goes_ns = array("q", bytes(8 * seats))
        """When each seat's present tunnel goes; entries of other times are former ones'."""
        self._vanishes = bytearray(seats)
        self._clients = array("l", bytes(array("l").itemsize * seats))
        """How many clients each seat has had."""

    def opened(self, tunnel: Tunnel, seat_id: int, at_ns: int) -> None:
        """A new client is there: say when it goes."""
        index, spec = tunnel.index, tunnel.cohort.spec
        self._clients[index] += 1
        vanish_ns = self._drawn_ns(_vanishing(spec), _VANISH_STREAM, seat_id, self._clients[index])
        leave_ns = self._drawn_ns(spec.session, _SESSION_STREAM, seat_id, self._clients[index])
        self._vanishes[index] = vanish_ns <= leave_ns
        self._goes_ns[index] = at_ns + min(vanish_ns, leave_ns)
        self.timeline.add(self._goes_ns[index], index)

    def go(self, tunnel: Tunnel, at_ns: int, now_ns: int) -> bool:
        """Let it go if its time has come. False: it should vanish, and cannot without CAP_NET_ADMIN."""
        index = tunnel.index
        if at_ns < self._goes_ns[index] or tunnel.state is not State.OPEN:
            return True
        if self._vanishes[index]:
            return tunnel.vanish()
        tunnel.close_by_plan(now_ns, NORMAL)
        return True

    def _drawn_ns(self, lengths: Distribution | None, stream: int, seat_id: int, client: int) -> int:
        if lengths is None:
            return 2**62
        block, place = divmod(seat_id, _BLOCK)
        return _block_ns(lengths, self._seed * 3 + stream, block, client)[place]


@lru_cache(maxsize=512)
def _block_ns(lengths: Distribution, seed: int, block: int, client: int) -> "array[int]":
    """What a block's seats draw for their ``client``-th: numpy takes as long for one as for all of them."""
    seats = np.arange(block * _BLOCK, (block + 1) * _BLOCK, dtype=np.int32)
    return array("q", draw_ns(lengths, uniforms(seed, seats, np.full(_BLOCK, client))).tobytes())


def _vanishing(spec: Cohort) -> Distribution | None:
    """A constant rate is an exponential time."""
    if not spec.vanish_per_s:
        return None
    return Distribution(spread=Spread.EXPONENTIAL, scale_ns=round(NS_PER_S / spec.vanish_per_s))
