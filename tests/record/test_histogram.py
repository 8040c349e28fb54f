import numpy as np
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from wsload.record.histogram import HIGHEST_US, SIGNIFICANT_DIGITS, Histogram
from wsload.units import NS_PER_US

durations_ns = st.lists(st.integers(0, HIGHEST_US * NS_PER_US), max_size=200)


def reference(values_ns: list[int]) -> HdrHistogram:
    hdr = HdrHistogram(1, HIGHEST_US, SIGNIFICANT_DIGITS)
    for value_ns in values_ns:
        hdr.record_value((value_ns + NS_PER_US // 2) // NS_PER_US)
    return hdr


def recorded(values_ns: list[int]) -> Histogram:
    histogram = Histogram()
    histogram.record_many(values_ns)
    return histogram


@given(durations_ns)
def test_bulk_recording_fills_the_same_buckets_as_hdrhistogram(values_ns: list[int]) -> None:
    assert recorded(values_ns).counts.tolist() == list(reference(values_ns).counts)


@given(durations_ns, st.floats(0, 100))
def test_percentiles_agree_with_hdrhistogram(values_ns: list[int], percentile: float) -> None:
    expected_us = reference(values_ns).get_value_at_percentile(percentile) if values_ns else 0
    assert recorded(values_ns).percentile_ns(percentile) == expected_us * NS_PER_US


@given(durations_ns)
def test_encoding_is_hdrhistograms_own_and_comes_back(values_ns: list[int]) -> None:
    histogram = recorded(values_ns)
    assert histogram.encode() == reference(values_ns).encode().decode()
    assert np.array_equal(Histogram.decode(histogram.encode()).counts, histogram.counts)


@given(durations_ns, durations_ns)
def test_merging_equals_recording_together(first: list[int], second: list[int]) -> None:
    dense, sparse = recorded(first), recorded(first)
    dense.merge(recorded(second))
    sparse.merge_sparse(*recorded(second).sparse())
    together = recorded(first + second)
    assert np.array_equal(dense.counts, together.counts)
    assert np.array_equal(sparse.counts, together.counts)


@given(durations_ns, durations_ns)
def test_a_cleared_histogram_is_as_good_as_new(before: list[int], after: list[int]) -> None:
    histogram = recorded(before)
    histogram.clear()
    histogram.record_many(after)
    assert not histogram.over_range
    assert np.array_equal(histogram.counts, recorded(after).counts)
    assert histogram.sparse() == recorded(after).sparse()


@given(durations_ns, durations_ns)
def test_what_was_merged_or_decoded_is_told_whole(first: list[int], second: list[int]) -> None:
    merged = recorded(first)
    merged.merge(recorded(second))
    by_parts = Histogram()
    by_parts.merge_sparse(*recorded(second).sparse())
    by_parts.merge_sparse(*recorded(first).sparse())
    together = recorded(first + second)
    for histogram in (merged, by_parts, Histogram.decode(together.encode())):
        assert histogram.encode() == together.encode()
        assert histogram.sparse() == together.sparse()
        assert (histogram.total(), histogram.max_ns()) == (len(first + second), together.max_ns())


def test_values_above_the_range_are_counted_not_filed() -> None:
    histogram = recorded([HIGHEST_US * NS_PER_US * 2, 5_000_000])
    assert histogram.over_range == 1
    assert histogram.total() == 1


def test_negative_values_count_as_zero() -> None:
    assert recorded([-5]).max_ns() == 0
    assert recorded([-5]).total() == 1


def test_an_empty_histogram_has_zero_everywhere() -> None:
    histogram = Histogram()
    assert (histogram.min_ns(), histogram.max_ns(), histogram.mean_ns()) == (0, 0, 0.0)
    assert histogram.percentiles_ns((0, 50, 100)) == [0, 0, 0]


def test_the_mean_lies_within_the_precision() -> None:
    values_ns = [1_000_000, 2_000_000, 6_000_000]
    assert abs(recorded(values_ns).mean_ns() - 3_000_000) < 3_000
