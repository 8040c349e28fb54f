"""What is read of processes and of the kernel while a run lasts."""

import subprocess
import sys

import psutil
import pytest

from benchmarks.scale_samples import (
    Owner,
    Sample,
    kernel_bytes,
    owner_of,
    parse_meminfo,
    read_sample,
    sample_at,
)

MEMINFO = """MemTotal:       24684096 kB
MemAvailable:   23664976 kB
Cached:          2476668 kB
Slab:             303424 kB
SReclaimable:     264072 kB
SUnreclaim:        39352 kB
KernelStack:        1776 kB
PageTables:         3644 kB
HugePages_Total:       0
"""


def moment(t_ns: int) -> Sample:
    return Sample(t_ns, {}, {}, {}, 0)


@pytest.mark.parametrize(
    ("arguments", "owner"),
    [
        (["/usr/bin/python3", "-m", "wsload.driver", "7"], Owner.DRIVER),
        (["/usr/bin/python3", "-m", "wsload.backend", "7"], Owner.BACKEND),
        (["haproxy", "-db", "-f", "haproxy.cfg"], Owner.HAPROXY),
        (["/opt/releases/lib/ld-linux-x86-64.so.2", "/opt/releases/haproxy", "-db"], Owner.HAPROXY),
    ],
)
def test_a_child_is_told_by_its_command(arguments: list[str], owner: Owner) -> None:
    assert owner_of(arguments) is owner


def test_the_kernels_memory_leaves_the_page_cache_out_and_counts_nothing_twice() -> None:
    assert kernel_bytes(parse_meminfo(MEMINFO)) == (303_424 + 1776 + 3644) * 1024


@pytest.mark.parametrize(("t_ns", "found_ns"), [(5, 10), (10, 10), (29, 20), (99, 30)])
def test_the_sample_of_a_time_is_the_last_one_by_then(t_ns: int, found_ns: int) -> None:
    assert sample_at([moment(10), moment(20), moment(30)], t_ns).t_ns == found_ns


def test_a_process_and_its_children_are_counted_by_owner() -> None:
    command = [sys.executable, "-c", "print('up', flush=True); input()", "wsload.driver"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        sample = read_sample(psutil.Process())
        child.communicate(b"\n")
    assert sample.processes[Owner.DRIVER] == sample.processes[Owner.PARENT] == 1
    assert sample.memory_bytes[Owner.DRIVER] > 1_000_000
    assert sample.memory_bytes[Owner.KERNEL] > 1_000_000
    assert sample.cpu_s[Owner.PARENT] > 0
