"""The HAProxy releases that end-to-end tests run: the machine's, and those that ``WSLOAD_TEST_HAPROXY`` adds."""

import os

BINARIES = ["haproxy", *filter(None, os.environ.get("WSLOAD_TEST_HAPROXY", "").split(os.pathsep))]
