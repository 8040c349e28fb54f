"""The HAProxy releases that end-to-end tests run: this machine's, and those of ``WSLOAD_TEST_HAPROXY``."""

import os

BINARIES = ["haproxy", *filter(None, os.environ.get("WSLOAD_TEST_HAPROXY", "").split(os.pathsep))]
