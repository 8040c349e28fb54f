"""A worker's own figures."""

import resource

from wsload.driver import health


def test_memory_is_told_where_no_descriptor_is_free() -> None:
    before = health.rss_bytes()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        assert health.rss_bytes() > before / 2 > 0
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
