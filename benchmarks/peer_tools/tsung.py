"""Tsung, from the distribution's packages, with its own WebSocket sessions."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from benchmarks.peer_tools.base import PAYLOAD, Latency, Launch, Target, Tool, Traffic, Workload

_DTD = "/usr/share/tsung/tsung-1.0.dtd"
# "Clients and server" of its manual: a basic set-up runs in the controller's own virtual machine, and
# "maxusers" should be very large. "Defining the load": no more than "maxnumber" arrive, at random times, so
# their phase is longer than the ramp.
_SCENARIO = """<?xml version="1.0"?>
<!DOCTYPE tsung SYSTEM "{dtd}">
<tsung loglevel="notice" version="1.0">
  <clients><client host="localhost" use_controller_vm="true" maxusers="30000"/></clients>
  <servers><server host="{ip}" port="{port}" type="tcp"/></servers>
  <load>
    <arrivalphase phase="1" duration="{phase_s}" unit="second">
      <users maxnumber="{tunnels}" arrivalrate="{opened_per_s}" unit="second"/>
    </arrivalphase>
  </load>
  <sessions>
    <session name="tunnel" probability="100" type="ts_websocket">
      <request><websocket type="connect" path="{path}"/></request>
      {work}
    </session>
  </sessions>
</tsung>
"""
_IDLE = '<thinktime value="{stay_s}"/>'
_ECHO = """<for from="1" to="{count}" incr="1" var="number">
        <transaction name="echo">
          <request><websocket type="message" frame="text">{payload}</websocket></request>
        </transaction>
        <thinktime value="{gap_s}"/>
      </for>"""
_ECHO_LINE = "stats: tr_echo "


def find(_tools: Path) -> list[str] | None:
    """On PATH, where the package puts it."""
    program = shutil.which("tsung")
    return None if program is None else [program]


def install(_tools: Path) -> Sequence[Sequence[str]]:
    """As root, or through sudo."""
    root = () if os.geteuid() == 0 else ("sudo",)
    return (
        (*root, "apt-get", "update", "-qq"),
        (*root, "apt-get", "install", "-y", "-qq", "--no-install-recommends", "tsung"),
    )


def prepare(program: Sequence[str], workload: Workload, target: Target, folder: Path) -> Launch:
    """Without its web page; a transaction around each echo, as it times requests of all kinds together."""
    count = round(workload.stay_s * workload.rate_per_s)
    is_echo = workload.traffic is Traffic.ECHO
    work = (
        _ECHO.format(count=count, payload=PAYLOAD, gap_s=workload.gap_s)
        if is_echo
        else _IDLE.format(stay_s=round(workload.stay_s))
    )
    scenario = _SCENARIO.format(
        dtd=_DTD,
        ip=target.ip,
        port=target.port,
        path=target.path,
        phase_s=round(2 * workload.ramp_s) + 10,
        tunnels=workload.tunnels,
        opened_per_s=workload.opened_per_s,
        work=work,
    )
    (folder / "tsung.xml").write_text(scenario, encoding="utf-8")
    # Erlang's name server on loopback alone. One scheduler, which does not spin while it waits: the manual
    # finds virtual machines without SMP the more efficient ones, and today's have it always.
    environment = {
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_FLAGS": "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none",
    }
    return Launch([*program, "-f", "tsung.xml", "-l", "log", "-n", "start"], environment)


def latency(folder: Path, _words: str) -> Latency:
    """The mean of the whole test, of the last line of its log; it keeps no percentiles."""
    logs = sorted((folder / "log").glob("*/tsung.log"))
    lines = logs[-1].read_text(encoding="utf-8").splitlines() if logs else []
    echoes = [line.split() for line in lines if line.startswith(_ECHO_LINE)]
    return Latency(mean_ms=mean_ms(echoes[-1])) if echoes else Latency()


def mean_ms(fields: Sequence[str]) -> float:
    """The whole test's mean from ``stats: tr_echo COUNT MEAN STDDEV MAX MIN MEAN_BEFORE COUNT_BEFORE``: this
    line's ten seconds, and all that came before them."""
    count, mean, before_mean, before = (float(fields[place]) for place in (2, 3, 7, -1))
    return (count * mean + before * before_mean) / max(count + before, 1)


TOOL = Tool(
    name="Tsung",
    find=find,
    version_arguments=("-v",),
    prepare=prepare,
    latency=latency,
    install=install,
)
