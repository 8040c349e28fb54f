"""wsload against Locust, Artillery, Tsung, k6 and tcpkali: the same tunnels through the same HAProxy.

Two workloads: idle tunnels held, and tunnels that each echo ten times a second. Tools run in turn, round
after round, and what each takes is read from outside of it: CPU of the whole process tree, PSS, and what the
backend counts. Each measurement is a line of ``OUT/peers.jsonl``, to which later calls append; the report is
made from that file: a table on stdout, and JSON and a plot in ``OUT``. The exit code is 1 where a tool failed
or a bar is missed.

    python benchmarks/peers.py --install               # three rounds of all, half an hour
    python benchmarks/peers.py --rounds 1 wsload k6    # one more of these two
    python benchmarks/peers.py --report results/peers/peers.jsonl

docs/peers.md says how each tool is configured, and why.
"""

import argparse
import asyncio
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # of a script Python puts its own folder there

from benchmarks.peer_tools.base import Traffic, Workload
from benchmarks.peer_tools.table import TOOLS, found, install_missing, version_of
from benchmarks.peers_figures import Measurement, bars, check_alike, describe, remarks, table
from benchmarks.peers_plot import write_peers_plot
from benchmarks.peers_run import adopting, cancelled_by_signal, measure, road
from wsload.errors import ExitCode, WsloadError

RECORD = "peers.jsonl"
_OPENED_PER_S = {Traffic.IDLE: 500, Traffic.ECHO: 200}
_RATE_PER_S = 10.0


def workload_of(traffic: Traffic, tunnels: int, hold_s: float) -> Workload:
    """Opened at a rate that every tool here keeps up with."""
    return Workload(
        traffic=traffic,
        tunnels=tunnels,
        ramp_s=max(tunnels / _OPENED_PER_S[traffic], 1.0),
        hold_s=hold_s,
        rate_per_s=_RATE_PER_S if traffic is Traffic.ECHO else 0.0,
    )


async def run_rounds(
    programs: Mapping[str, Sequence[str]], workloads: Sequence[Workload], rounds: int, record: Path
) -> None:
    """All tools in turn on each workload, as often as there are rounds; each result is written at once."""
    task = asyncio.current_task()
    assert task is not None
    cancelled_by_signal(task)
    versions = {name: version_of(TOOLS[name], program) for name, program in programs.items()}
    done = (
        Counter((each.tool, each.workload.traffic) for each in read_record(record)) if record.exists() else {}
    )
    with adopting():
        for number in range(1, rounds + 1):
            async with road(max(each.tunnels for each in workloads)) as here:
                for workload in workloads:
                    for name, program in programs.items():
                        nth = done.get((name, workload.traffic), 0) + number
                        print(f"round {nth}, {workload.traffic}: {name} ...", file=sys.stderr)
                        result = await measure(TOOLS[name], program, versions[name], workload, here, nth)
                        if result.error:
                            print(f"{name} failed: {result.error}", file=sys.stderr)
                        with record.open("ab") as file:
                            file.write(msgspec.json.encode(result) + b"\n")


def read_record(path: Path) -> list[Measurement]:
    """All measurements of a file. Raises WsloadError if it cannot be read or holds something else."""
    try:
        lines = path.read_bytes().splitlines()
        return [msgspec.json.decode(line, type=Measurement) for line in lines if line]
    except (OSError, msgspec.MsgspecError) as error:
        raise WsloadError(f"{path}: no record of peers: {error}; name one that peers.py wrote") from error


def report(measurements: Sequence[Measurement], out: Path) -> bool:
    """Print the table and write it, JSON and the plot into ``out``. Whether all went well."""
    check_alike(measurements)
    text, judged, noted = table(measurements), bars(measurements), remarks(measurements)
    is_well = all(bar["met"] for bar in judged.values()) and not any(each.error for each in measurements)
    content: dict[str, Any] = {
        "ok": is_well,
        "setting": msgspec.to_builtins(measurements[0].setting),
        "workloads": sorted({describe(each.workload) for each in measurements}),
        "bars": judged,
        "remarks": noted,
        "measurements": msgspec.to_builtins(measurements),
    }
    print(text)
    out.mkdir(parents=True, exist_ok=True)
    (out / "peers.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    (out / "peers.txt").write_text(text + "\n", encoding="utf-8")
    write_peers_plot(measurements, out)
    return is_well


def main() -> None:
    """Install, measure, report: what the options ask for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tools", nargs="*", metavar="TOOL", help=f"of {', '.join(TOOLS)}; default all")
    parser.add_argument(
        "--install", action="store_true", help="install Locust, Artillery and Tsung if missing"
    )
    parser.add_argument(
        "--tools",
        dest="place",
        type=Path,
        default=Path(sys.prefix) / "peers",
        help="where they are installed",
    )
    parser.add_argument("--rounds", type=int, default=3, help="default 3; 0 only installs")
    parser.add_argument("--idle", type=int, default=5000, help="idle tunnels; default 5000, 0 for none")
    parser.add_argument("--echo", type=int, default=1000, help="echoing tunnels; default 1000, 0 for none")
    parser.add_argument("--hold", type=float, default=20.0, help="seconds measured; default 20")
    parser.add_argument("--out", type=Path, default=Path("results/peers"), help="default results/peers")
    parser.add_argument("--report", type=Path, metavar="FILE", help="only report what a file holds")
    options = parser.parse_args()
    if unknown := [name for name in options.tools if name not in TOOLS]:
        parser.error(f'unknown tool "{unknown[0]}"; use {", ".join(TOOLS)}')
    try:
        sys.exit(_act(options))
    except WsloadError as error:
        print(f"peers.py: {error}", file=sys.stderr)
        sys.exit(ExitCode.USAGE)
    except (asyncio.CancelledError, KeyboardInterrupt):
        print("peers.py: interrupted; what was measured is kept", file=sys.stderr)
        sys.exit(ExitCode.INTERRUPTED)


def _act(options: argparse.Namespace) -> int:
    if options.report is not None:
        return 0 if report(read_record(options.report), options.report.parent) else 1
    names = options.tools
    if options.install:
        install_missing(names, options.place)
    programs = found(names, options.place)
    if left_out := [name for name in names or TOOLS if name not in programs]:
        print(f"not on PATH, left out: {', '.join(left_out)}", file=sys.stderr)
    wanted = {Traffic.IDLE: options.idle, Traffic.ECHO: options.echo}
    workloads = [workload_of(traffic, number, options.hold) for traffic, number in wanted.items() if number]
    if not options.rounds or not workloads:
        return 0
    options.out.mkdir(parents=True, exist_ok=True)
    record = options.out / RECORD
    asyncio.run(run_rounds(programs, workloads, options.rounds, record))
    return 0 if report(read_record(record), options.out) else 1


if __name__ == "__main__":
    main()
