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

_ENCODER = HdrHistogram(1, HIGHEST_US, SIGNIFICANT_DIGITS)
_ENCODER_COUNTS = np.ctypeslib.as_array(_ENCODER.counts)
"""Shared by all encodings: making an HdrHistogram takes 0.2 ms, several times what an encoding does."""
_COUNTS_LEN: int = _ENCODER.counts_len
_HALF_MAGNITUDE: int = _ENCODER.sub_bucket_half_count_magnitude
_HALF: int = _ENCODER.sub_bucket_half_count
_MASK: int = _ENCODER.sub_bucket_mask


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

    __slots__ = ("_end", "_first", "counts", "over_range")

    def __init__(self) -> None:
        self.counts: NDArray[np.int64] = np.zeros(_COUNTS_LEN, dtype=np.int64)
        self._first, self._end = _COUNTS_LEN, 0
        """The lowest occupied index, and one above the highest: a few thousand of 34,816 places, which is all
        that taking and clearing an interval's histogram looks at."""
        self.over_range = 0
        """Values above 60 days: counted here, filed nowhere."""

    def record_many(self, values_ns: Sequence[int] | NDArray[np.int64]) -> None:
        """File a batch, rounded to the nearest microsecond; negative values count as 0."""
        record_together([(self, np.asarray(values_ns, dtype=np.int64))])

    def merge(self, other: "Histogram") -> None:
        """Add another's counts to this one."""
        filed = slice(other._first, other._end)
        self.counts[self._span(other._first, other._end)] += other.counts[filed]
        self.over_range += other.over_range

    def total(self) -> int:
        """How many values are filed."""
        return int(self.counts[self._first : self._end].sum())

    def sparse(self) -> tuple[bytes, bytes]:
        """The occupied indexes (int32) and their counts (int64): the form workers send."""
        indexes = self._occupied()
        return indexes.astype("<i4").tobytes(), self.counts[indexes].astype("<i8").tobytes()

    def merge_sparse(self, indexes: bytes, counts: bytes) -> None:
        """Add what :meth:`sparse` gave."""
        if indexes:
            places = np.frombuffer(indexes, "<i4")
            self._span(int(places[0]), int(places[-1]) + 1)
            self.counts[places] += np.frombuffer(counts, "<i8")

    def clear(self) -> None:
        """Forget everything; the memory is kept."""
        self.counts[self._first : self._end] = 0
        self._first, self._end = _COUNTS_LEN, 0
        self.over_range = 0

    def percentile_ns(self, percentile: float) -> int:
        """The value that ``percentile`` (0..100) of all values do not exceed; 0 when empty.

        As HdrHistogram does, the highest value equivalent to the one found (the lowest for percentile 0).
        """
        return self.percentiles_ns((percentile,))[0]

    def percentiles_ns(self, percentiles: Sequence[float]) -> list[int]:
        """Several percentiles in one pass; see :meth:`percentile_ns`."""
        occupied = self._occupied()
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
        return int(_lowest_us(np.array(self._first))) * NS_PER_US if self._end else 0

    def max_ns(self) -> int:
        """The largest value's bucket end; 0 when empty."""
        last = np.array(self._end - 1)
        return int(_lowest_us(last) + _width_us(last) - 1) * NS_PER_US if self._end else 0

    def mean_ns(self) -> float:
        """Mean of the buckets' middles, weighted; 0.0 when empty."""
        values_ns, counts = self.recorded()
        return float((values_ns * counts).sum() / counts.sum()) if len(counts) else 0.0

    def recorded(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The occupied buckets' middles in ns, ascending, and their counts."""
        occupied = self._occupied()
        return (_lowest_us(occupied) + _width_us(occupied) // 2) * NS_PER_US, self.counts[occupied]

    def encode(self) -> str:
        """HdrHistogram's V2 compressed encoding, base64, values in us."""
        _ENCODER_COUNTS[: self._end] = self.counts[
            : self._end
        ]  # it encodes no further than to the highest value
        _ENCODER.set_internal_tacking_values(self._first, self._end - 1, self.total())
        encoded: bytes = _ENCODER.encode()
        return encoded.decode("ascii")

    @classmethod
    def decode(cls, encoded: str) -> "Histogram":
        """What :meth:`encode` wrote."""
        result = cls()
        hdr = HdrHistogram.decode(encoded.encode("ascii"))
        result.counts[:] = np.ctypeslib.as_array(hdr.counts)
        occupied = np.flatnonzero(result.counts)
        if len(occupied):
            result._span(int(occupied[0]), int(occupied[-1]) + 1)
        return result

    def _file(self, indexes: NDArray[np.int64]) -> None:
        """Count values that fall under these indexes."""
        if len(indexes):
            first = int(indexes.min())
            filed = np.bincount(indexes - first)
            self.counts[self._span(first, first + len(filed))] += filed

    def _span(self, first: int, end: int) -> slice:
        """The slice, which is filed to from now on."""
        self._first, self._end = min(self._first, first), max(self._end, end)
        return slice(first, end)

    def _occupied(self) -> NDArray[np.int64]:
        """Indexes that have counts, ascending."""
        occupied: NDArray[np.int64] = np.flatnonzero(self.counts[self._first : self._end]) + self._first
        return occupied


def record_together(batches: Sequence[tuple[Histogram, NDArray[np.int64]]]) -> None:
    """:meth:`Histogram.record_many` for several at once: most of what a small batch costs is calls of numpy,
    and these are made once for all."""
    values_us = np.concatenate([values_ns for _, values_ns in batches])
    np.maximum(values_us, 0, out=values_us)
    values_us += NS_PER_US // 2
    values_us //= NS_PER_US
    is_whole = len(values_us) == 0 or values_us.max() <= HIGHEST_US
    indexes = _indexes(values_us)
    end = 0
    for histogram, values_ns in batches:
        start, end = end, end + len(values_ns)
        if is_whole:
            histogram._file(indexes[start:end])
        else:
            within = values_us[start:end] <= HIGHEST_US
            histogram.over_range += len(within) - int(within.sum())
            histogram._file(indexes[start:end][within])
