"""Owns the attacks that reach a socket of the host, or offer one to it."""

from __future__ import annotations

import re
import socket
from typing import Any

from .probe import Outcome, Probe
from .scene import Scene
from .snippets import RING

ADDRESSES = """
import socket

def inet(target):
    family = struct.pack("=H", socket.AF_INET)
    return family + struct.pack("!H", target[1]) + socket.inet_aton(target[0]) + bytes(8)

def unix(path):
    return struct.pack("=H", socket.AF_UNIX) + os.fsencode(path) + b"\\0"
"""

CONNECTIONS = """
import socket

def connections():
    \"\"\"The client's, which the kernel may not make but has accepted.\"\"\"
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            s = socket.socket(fileno=os.dup(int(name)))
            s.getpeername()
        except OSError:
            continue
        if s.family == socket.AF_INET:
            found.append(s)
    return found
"""
NETLINK = """
import socket
netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, {protocol})
netlink.bind((0, 0))
dump, get = 0x301, {get}
netlink.send(struct.pack("IHHIIB15x", 32, get, dump, 1, 0, 0))
claim(f"{{len(netlink.recv(65536))}} bytes from the kernel")
"""


def _p(name: str, code: str, **options: Any) -> Probe:
    return Probe(f"ne-{name}", "network", code, **options)


def _served(scene: Scene, outcome: Outcome) -> str | None:
    """Whether the host gets a connection to what the probe listens on."""
    for port in re.findall(r"PORT:(\d+)", outcome.text):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", int(port))) == 0:
                return "a server of the cage answers on the host"
    with socket.socket(socket.AF_UNIX) as client:
        if client.connect_ex(f"\0{scene.mark}-server") == 0:
            return "a server of the cage answers at an abstract address"
    return None


PROBES = (
    _p("tcp", 'import socket; socket.create_connection(T["tcp"], timeout=1)'),
    _p("tcp6", 'import socket; socket.create_connection(T["tcp6"], timeout=1)'),
    _p("tcp-send", 'import socket; socket.create_connection(T["tcp"], timeout=1).sendall(b"x")'),
    _p(
        "raw-tcp",
        ADDRESSES
        + """
fd = syscall("socket", socket.AF_INET, socket.SOCK_STREAM, 0)
syscall("connect", fd, inet(T["tcp"]), 16)
""",
    ),
    _p(
        "tcp-async",
        """
import asyncio
async def connect():
    await asyncio.wait_for(asyncio.open_connection(*T["tcp"]), 1)
await connect()
""",
    ),
    _p(
        "tcp-nonblocking",
        """
import socket
s = socket.socket()
s.setblocking(False)
show(s.connect_ex(tuple(T["tcp"])))
""",
    ),
    _p(
        "tcp-fast-open",
        """
import socket
socket.socket().sendto(b"x", socket.MSG_FASTOPEN, tuple(T["tcp"]))
""",
    ),
    _p(
        "tcp-fast-open-message",
        """
import socket
socket.socket().sendmsg([b"x"], [], socket.MSG_FASTOPEN, tuple(T["tcp"]))
""",
    ),
    _p(
        "mptcp",
        """
import socket
socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262).connect(tuple(T["tcp"]))
""",
    ),
    _p(
        "tcp-thread",
        """
import socket, threading
thread = threading.Thread(target=lambda: socket.create_connection(T["tcp"], timeout=1))
thread.start()
thread.join()
""",
    ),
    _p(
        "mapped-address",
        """
import socket
socket.socket(socket.AF_INET6).connect(("::ffff:127.0.0.1", T["tcp"][1]))
""",
    ),
    _p("udp", 'import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", tuple(T["udp"]))'),
    _p(
        "udp-connected",
        """
import socket
s = socket.socket(type=socket.SOCK_DGRAM)
s.connect(tuple(T["udp"]))
s.send(b"x")
""",
    ),
    _p(
        "udp-sendmsg",
        """
import socket
socket.socket(type=socket.SOCK_DGRAM).sendmsg([b"x"], [], 0, tuple(T["udp"]))
""",
    ),
    _p(
        "udp-sendmmsg",
        ADDRESSES
        + """
fd = syscall("socket", socket.AF_INET, socket.SOCK_DGRAM, 0)
name, body = ctypes.create_string_buffer(inet(T["udp"])), ctypes.create_string_buffer(b"x")
vector = ctypes.create_string_buffer(struct.pack("QQ", ctypes.addressof(body), 1))
header = struct.pack("QIxxxxQQQQIxxxxI", ctypes.addressof(name), 16, ctypes.addressof(vector), 1, 0, 0, 0, 0)
message = ctypes.create_string_buffer(header + bytes(64 - len(header)))
syscall("sendmmsg", fd, message, 1, 0)
""",
    ),
    _p(
        "udp-lite",
        """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 136)
claim("a UDP-Lite socket")
""",
        claims=True,
    ),
    _p(
        "raw-udp",
        """
import socket
host, port = T["udp"]
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
s.sendto(struct.pack("!HHHH", 9999, port, 9, 0) + b"x", (host, 0))
""",
        needs="root",
    ),
    _p(
        "packet",
        """
import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.bind(("lo", 0))
claim("reads every packet")
""",
        claims=True,
        needs="root",
    ),
    _p(
        "dns",
        """
libc.__res_state.restype = ctypes.c_void_p
libc.__res_init()
state = libc.__res_state()
host, port = T["udp"]
import socket
server = struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton(host) + bytes(8)
ctypes.memmove(state, struct.pack("ii", 1, 1), 8)
ctypes.memmove(state + 16, struct.pack("i", 1), 4)
ctypes.memmove(state + 20, server, 16)
resolver = ctypes.CDLL("libresolv.so.2")
query = getattr(libc, "res_query", None) or getattr(resolver, "res_query", None) or resolver.__res_query
query(b"secret.example.", 1, 1, ctypes.create_string_buffer(512), 512)
""",
    ),
    _p("urllib", 'import urllib.request; urllib.request.urlopen(T["url"], timeout=1)'),
    _p(
        "http-client",
        """
import http.client
connection = http.client.HTTPConnection(*T["tcp"], timeout=1)
connection.request("GET", "/")
""",
    ),
    _p(
        "unix",
        """
import socket
socket.socket(socket.AF_UNIX).connect(T["unix"])
""",
    ),
    _p(
        "raw-unix",
        ADDRESSES
        + """
fd = syscall("socket", socket.AF_UNIX, socket.SOCK_STREAM, 0)
address = unix(T["unix"])
syscall("connect", fd, address, len(address))
""",
    ),
    _p(
        "unix-by-cwd",
        """
import socket
os.chdir(os.path.dirname(T["unix"]))
socket.socket(socket.AF_UNIX).connect("s")
""",
        alone=True,
    ),
    _p(
        "unix-by-descriptor",
        """
import socket
fd = os.open(T["unix"], os.O_PATH)
socket.socket(socket.AF_UNIX).connect(f"/proc/self/fd/{fd}")
""",
    ),
    _p(
        "agent",
        """
import socket
path = os.environ.get("SSH_AUTH_SOCK", T["unix"])
socket.socket(socket.AF_UNIX).connect(path)
""",
    ),
    _p(
        "unix-dgram",
        """
import socket
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"x", T["unix_dgram"])
""",
    ),
    _p(
        "syslog-like",
        """
import socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect(T["unix_dgram"])
s.send(b"<14>x")
""",
    ),
    _p(
        "pair-sendto",
        """
import socket
ours, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
ours.sendto(b"x", T["unix_dgram"])
""",
    ),
    _p(
        "pair-sendmsg",
        """
import socket
ours, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
ours.sendmsg([b"x"], [], 0, T["unix_dgram"])
""",
    ),
    _p(
        "pair-connect",
        """
import socket
ours, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
ours.connect(T["unix_dgram"])
ours.send(b"x")
""",
    ),
    _p(
        "pair-abstract",
        """
import socket
ours, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
ours.sendto(b"x", "\\0" + T["abstract_dgram"])
""",
    ),
    _p(
        "pass-descriptor",
        """
import socket
ours, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", 0))]
ours.sendmsg([b"x"], passed, 0, T["unix_dgram"])
""",
    ),
    _p(
        "abstract",
        """
import socket
socket.socket(socket.AF_UNIX).connect("\\0" + T["abstract"])
""",
    ),
    _p(
        "abstract-dgram",
        """
import socket
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"x", "\\0" + T["abstract_dgram"])
""",
    ),
    _p(
        "io-uring-socket",
        RING
        + ADDRESSES
        + """
ring = Ring()
fd = ring.do(45, socket.AF_INET, offset=socket.SOCK_STREAM)
buffer, address = text(inet(T["tcp"]))
ring.do(16, fd, address, offset=16)
""",
    ),
    _p(
        "io-uring-connect",
        RING
        + ADDRESSES
        + """
s = socket.socket(socket.AF_UNIX)
name = unix(T["unix"])
buffer, address = text(name)
Ring().do(16, s.fileno(), address, offset=len(name))
""",
    ),
    _p("netlink-route", NETLINK.format(protocol=0, get=18), claims=True),
    _p(
        "netlink-diag",
        """
import socket
netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4)
request = struct.pack("BBBxI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0xFFFFFFFF) + bytes(48)
netlink.sendto(struct.pack("IHHII", 16 + len(request), 20, 0x301, 1, 0) + request, (0, 0))
claim(f"{len(netlink.recv(65536))} bytes about the sockets of the host")
""",
        claims=True,
    ),
    _p(
        "netlink-uevent",
        """
import socket
netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 15)
netlink.bind((0, 1))
claim("listens to the devices of the host")
""",
        claims=True,
    ),
    _p(
        "vsock",
        """
import socket
s = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
claim(f"a socket to the hypervisor: {s.getsockname()}")
""",
        claims=True,
    ),
    _p(
        "serve-tcp",
        """
import socket
server = socket.create_server(("127.0.0.1", 0))
show(f"PORT:{server.getsockname()[1]}")
""",
        judge=_served,
    ),
    _p(
        "serve-without-bind",
        """
import socket
server = socket.socket()
server.listen()
show(f"PORT:{server.getsockname()[1]}")
""",
        judge=_served,
    ),
    _p(
        "serve-abstract",
        """
import socket
server = socket.socket(socket.AF_UNIX)
server.bind(f"\\0{T['mark']}-server")
server.listen()
""",
        judge=_served,
    ),
    _p(
        "serve-unix",
        """
import socket
server = socket.socket(socket.AF_UNIX)
server.bind(os.path.dirname(T["outside"]) + "/" + T["mark"])
""",
    ),
    _p(
        "reuse-connection",
        CONNECTIONS
        + """
for s in connections():
    libc.connect(s.fileno(), ctypes.create_string_buffer(16), 16)
    s.connect(tuple(T["tcp"]))
""",
        alone=True,
        transport="tcp",
    ),
    _p(
        "reuse-connection-to-serve",
        CONNECTIONS
        + """
s = connections()[0]
libc.connect(s.fileno(), ctypes.create_string_buffer(16), 16)
s.listen()
show(f"PORT:{s.getsockname()[1]}")
import time
time.sleep(0.3)
""",
        judge=_served,
        alone=True,
        transport="tcp",
    ),
    _p(
        "socket-of-supervisor",
        """
fds = f"/proc/{T['supervisor']}/fd"
pidfd = syscall("pidfd_open", T["supervisor"], 0)
import socket
for name in os.listdir(fds):
    if os.readlink(f"{fds}/{name}").startswith(("pipe:", "socket:")):
        claim(f"took {syscall('pidfd_getfd', pidfd, int(name), 0)} from the supervisor")
""",
        claims=True,
    ),
    _p(
        "repair",
        """
import socket
s = socket.socket()
s.setsockopt(socket.IPPROTO_TCP, 19, 1)
claim("a TCP connection out of nothing")
""",
        claims=True,
        needs="root",
    ),
    _p("tun", 'os.open("/dev/net/tun", os.O_RDWR); claim("a network device")', claims=True, needs="root"),
)
