"""Configurations to find something in, and what is found."""

from wsload.haproxy.cfg_finding import Finding
from wsload.haproxy.cfg_findings import find
from wsload.haproxy.cfg_reader import read_config

STOCK_DEBIAN = """\
global
	log /dev/log	local0
	chroot /var/lib/haproxy
	stats socket /run/haproxy/admin.sock mode 660 level admin
	stats timeout 30s
	user haproxy
	group haproxy
	daemon

	ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets

defaults
	log	global
	mode	http
	option	httplog
	option	dontlognull
        timeout connect 5000
        timeout client  50000
        timeout server  50000
	errorfile 400 /etc/haproxy/errors/400.http
"""

NEXTCLOUD = """\
global
    maxconn 4096
    hard-stop-after 1h

defaults
    mode http
    timeout connect 5s
    timeout client 30s   # as in HaRP's issue 115
    timeout server 5m
    timeout server-fin 30s

frontend web
    bind 127.0.0.1:18080
    acl is_push path_beg /push/ws
    use_backend push if is_push
    use_backend talk if { hdr(Upgrade) -i websocket } !is_push
    default_backend nextcloud

backend push
    server push1 127.0.0.1:7867
backend talk
    server talk1 127.0.0.1:8188
backend nextcloud
    server web1 127.0.0.1:8081 check
"""

ALL_RIGHT = """\
global
    maxconn 4096
    hard-stop-after 30m

defaults http
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    timeout server-fin 30s
    timeout queue 10s
    timeout tunnel 1h
    default-server check on-marked-down shutdown-sessions

frontend web from http
    bind 127.0.0.1:18080
    maxconn 4000
    use_backend ws if { hdr(Upgrade) -i websocket }
    default_backend pages

backend ws from http
    option httpchk
    server app1 127.0.0.1:8080 maxconn 2000
backend pages from http
    server web1 127.0.0.1:8081
"""
ROUTE = "frontend f\n bind :1\n default_backend ws\nbackend ws\n server s h:1\n"
QUIET = "global\n maxconn 100\n hard-stop-after 1h\n"
TIMERS = " timeout client 30s\n timeout server 30s\n timeout server-fin 9s\n"
HTTP = f"defaults\n mode http\n{TIMERS}"
GOOD = f"{HTTP} timeout tunnel 1h\n"


def findings(text: str, version: str = "2.6.12", nofile_hard: int = 20_000) -> list[Finding]:
    return find(read_config(text, {}), version=version, nofile_hard=nofile_hard)


def shown(text: str, version: str = "2.6.12", nofile_hard: int = 20_000) -> list[tuple[int, str, str]]:
    return [
        (finding.line, finding.severity.value, finding.title)
        for finding in findings(text, version, nofile_hard)
    ]


def only(text: str, version: str = "2.6.12", nofile_hard: int = 20_000) -> Finding:
    found = findings(text, version, nofile_hard)
    assert len(found) == 1, found
    return found[0]


def mended(text: str, found: list[Finding]) -> str:
    """The text with every fix applied, from its end to its start; a line is written once."""
    lines = text.splitlines()
    fixes = {(fix.at, fix.lines): fix for finding in found if (fix := finding.fix) is not None}
    for fix in sorted(fixes.values(), key=lambda fix: (fix.at, fix.replaces), reverse=True):
        lines[fix.at - fix.replaces : fix.at] = fix.lines
    return "\n".join([*lines, ""])
