"""What helps a generator without CPU time depends on who used it up."""

import pytest

from wsload.analysis.remedies import CpuUse, Surroundings, make_room

SHARED = Surroundings(workers=1, cores=2, sharers=["haproxy"])
ALONE = Surroundings(workers=1, cores=2)
LOOP = Surroundings(workers=1, cores=2, sharers=["haproxy"], closed_loop=True)
SPENT = Surroundings(workers=2, cores=2)
UNKNOWN = Surroundings(workers=1)


@pytest.mark.parametrize(
    ("around", "use", "words"),
    [
        (SHARED, CpuUse(cores=0.99, stolen=0.2, worker=0.5), "the hypervisor gave 20 % of these cores"),
        (LOOP, CpuUse(cores=0.99, worker=0.95), 'a closed loop (rate = "max") uses all there is by design'),
        (
            SHARED,
            CpuUse(cores=0.97, worker=0.95),
            "the 2 cores that driver and HAProxy share were full, so more workers would not help",
        ),
        (ALONE, CpuUse(cores=0.97, worker=0.5), "the driver's 2 cores were full: free cores"),
        (ALONE, CpuUse(cores=0.6, worker=0.95), "add workers: --set load.workers=2, or lower the load"),
        (SPENT, CpuUse(cores=0.6, worker=0.95), "lower the load, or take a host with more cores (2 cores "),
        (ALONE, CpuUse(cores=0.6, worker=0.5), "there was CPU time left, so something else held the driver"),
        (UNKNOWN, CpuUse(), "add workers: --set load.workers=2, or lower the load"),
    ],
)
def test_the_remedy_fits_who_used_the_cpu(around: Surroundings, use: CpuUse, words: str) -> None:
    assert make_room(around, use).startswith(words)
