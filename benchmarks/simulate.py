"""What a simulation costs: a million tunnels over a day, time and memory. Prints JSON on stdout.

python benchmarks/simulate.py [--tunnels N] [--hours H]
"""

import argparse
import json
import resource
import time

from wsload.analysis.simulation import Clients, simulate
from wsload.profile.distributions import distribution

GAPS = ("exp(5m)", "lognormal(3m, 1.2)")
TIMER_S = 900.0
VANISH_PER_S = 0.02 / 3600
SESSION = "exp(2h)"


def main() -> None:
    """Each distribution of gaps in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tunnels", type=int, default=1_000_000)
    parser.add_argument("--hours", type=float, default=24.0)
    options = parser.parse_args()
    results = []
    for gaps in GAPS:
        clients = Clients(
            number=options.tunnels,
            gaps=distribution(gaps),
            timer_s=TIMER_S,
            vanish_per_s=VANISH_PER_S,
            session=distribution(SESSION),
        )
        began_s = time.perf_counter()
        course = simulate(clients, options.hours * 3600, 60.0, seed=1)
        results.append(
            {
                "gaps": gaps,
                "lives": course.lives,
                "live_at_end": int(course.live[-1]),
                "ghosts_at_end": int(course.ghosts[-1]),
                "elapsed_s": round(time.perf_counter() - began_s, 2),
                "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            }
        )
    print(json.dumps({"tunnels": options.tunnels, "hours": options.hours, "runs": results}, indent=2))


if __name__ == "__main__":
    main()
