"""Latency histograms: HdrHistogram's own bucket layout, recorded and merged in bulk with numpy.

``HdrHistogram.record_value`` costs 0.85 us a value; the driver instead collects raw nanoseconds in an
array and files a whole batch at once, at about 20 ns a value. Files carry HdrHistogram's own encoding
(V2 compressed, base64), so every HdrHistogram tool reads them.
"""

from collections.abc import Sequence

import numpy as np
from hdrh.histogram import HdrHistogram
from numpy.typing import NDArray

from wsload.units import NS_PER_US

HIGHEST_US = 60 * 86400 * 1_000_000
"""60 days: a soak's tunnel ages fit. Anything above is counted in :attr:`Histogram.over_range`."""
SIGNIFICANT_DIGITS = 3

_TEMPLATE = HdrHistogram(1, HIGHEST_US, SIGNIFICANT_DIGITS)
_COUNTS_LEN: int = _TEMPLATE.counts_len
_HALF_MAGNITUDE: int = _TEMPLATE.sub_bucket_half_count_magnitude
_HALF: int = _TEMPLATE.sub_bucket_half_count
_MASK: int = _TEMPLATE.sub_bucket_mask


def _indexes(values_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """HdrHistogram's counts-array index of each value (HdrHistogram.get_counts_array_index)."""
    # frexp's exponent is the bit length, exact below 2**53; 60 days in us is below 2**43.
    bit_length = np.frexp((values_us | _MASK).astype(np.float64))[1].astype(np.int64)
    bucket = bit_length - (_HALF_MAGNITUDE + 1)
    result: NDArray[np.int64] = ((bucket + 1) << _HALF_MAGNITUDE) + ((values_us >> bucket) - _HALF)
    return result


def _lowest_us(indexes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The smallest value filed under each index."""
    bucket = (indexes >> _HALF_MAGNITUDE) - 1
    sub = (indexes & (_HALF - 1)) + _HALF
    sub = np.where(bucket < 0, sub - _HALF, sub)
    result: NDArray[np.int64] = sub << np.maximum(bucket, 0)
    return result


def _width_us(indexes: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many values share each index."""
    result: NDArray[np.int64] = np.left_shift(1, np.maximum((indexes >> _HALF_MAGNITUDE) - 1, 0))
    return result


class Histogram:
    """Counts of durations, 1 us to 60 days, three significant digits. All values in and out are ns."""

    __slots__ = ("counts", "over_range")

    def __init__(self) -> None:
        self.counts: NDArray[np.int64] = np.zeros(_COUNTS_LEN, dtype=np.int64)
        self.over_range = 0
        """Values above 60 days: counted here, filed nowhere."""

    def record_many(self, values_ns: Sequence[int] | NDArray[np.int64]) -> None:
        """File a batch, rounded to the nearest microsecond; negative values count as 0."""
        if len(values_ns) == 0:
            return
        values_us = (np.maximum(np.asarray(values_ns, dtype=np.int64), 0) + NS_PER_US // 2) // NS_PER_US
        over = values_us > HIGHEST_US
        if over.any():
            self.over_range += int(over.sum())
            values_us = values_us[~over]
        filed = np.bincount(_indexes(values_us))
        self.counts[: len(filed)] += filed

    def merge(self, other: "Histogram") -> None:
        """Add another's counts to this one."""
        self.counts += other.counts
        self.over_range += other.over_range

    def total(self) -> int:
        """How many values are filed."""
        return int(self.counts.sum())

    def sparse(self) -> tuple[bytes, bytes]:
        """The occupied indexes (int32) and their counts (int64): the form workers send."""
        indexes = np.flatnonzero(self.counts)
        return indexes.astype("<i4").tobytes(), self.counts[indexes].astype("<i8").tobytes()

    def merge_sparse(self, indexes: bytes, counts: bytes) -> None:
        """Add what :meth:`sparse` gave."""
        self.counts[np.frombuffer(indexes, "<i4")] += np.frombuffer(counts, "<i8")

    def clear(self) -> None:
        """Forget everything; the memory is kept."""
        self.counts[:] = 0
        self.over_range = 0

    def percentile_ns(self, percentile: float) -> int:
        """The value that ``percentile`` (0..100) of all values do not exceed; 0 when empty.

        As HdrHistogram does, the highest value equivalent to the one found (the lowest for percentile 0).
        """
        return self.percentiles_ns((percentile,))[0]

    def percentiles_ns(self, percentiles: Sequence[float]) -> list[int]:
        """Several percentiles in one pass; see :meth:`percentile_ns`."""
        occupied = np.flatnonzero(self.counts)
        if not len(occupied):
            return [0] * len(percentiles)
        cumulative = np.cumsum(self.counts[occupied])
        wanted = np.maximum(np.floor(np.asarray(percentiles) / 100 * cumulative[-1] + 0.5), 1)
        found = occupied[np.minimum(np.searchsorted(cumulative, wanted), len(occupied) - 1)]
        lowest, width = _lowest_us(found), _width_us(found)
        return [
            int(low if percentile == 0 else low + wide - 1) * NS_PER_US
            for percentile, low, wide in zip(percentiles, lowest, width, strict=True)
        ]

    def min_ns(self) -> int:
        """The smallest value's bucket start; 0 when empty."""
        return self.percentile_ns(0)

    def max_ns(self) -> int:
        """The largest value's bucket end; 0 when empty."""
        return self.percentile_ns(100)

    def mean_ns(self) -> float:
        """Mean of the buckets' middles, weighted; 0.0 when empty."""
        values_ns, counts = self.recorded()
        return float((values_ns * counts).sum() / counts.sum()) if len(counts) else 0.0

    def recorded(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The occupied buckets' middles in ns, ascending, and their counts."""
        occupied = np.flatnonzero(self.counts)
        return (_lowest_us(occupied) + _width_us(occupied) // 2) * NS_PER_US, self.counts[occupied]

    def encode(self) -> str:
        """HdrHistogram's V2 compressed encoding, base64, values in us."""
        encoded: bytes = self.to_hdr().encode()
        return encoded.decode("ascii")

    def to_hdr(self) -> HdrHistogram:
        """The same as an ``HdrHistogram`` (values in us), for its log writer and iterators."""
        hdr = HdrHistogram(1, HIGHEST_US, SIGNIFICANT_DIGITS)
        np.ctypeslib.as_array(hdr.counts)[:] = self.counts
        occupied = np.flatnonzero(self.counts)
        if len(occupied):
            hdr.set_internal_tacking_values(int(occupied[0]), int(occupied[-1]), self.total())
        return hdr

    @classmethod
    def decode(cls, encoded: str) -> "Histogram":
        """What :meth:`encode` wrote."""
        result = cls()
        hdr = HdrHistogram.decode(encoded.encode("ascii"))
        result.counts[:] = np.ctypeslib.as_array(hdr.counts)
        return result
