"""Owns the attacks on the host that runs the cells: forged, malformed, endless messages; kernels that hang.

The cage does not help here: the kernel may talk to its host. They are run against our `KernelSession`; in the
control against a naive host (`hosts.Naive`). Both are judged by the same rules (`_harms`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .cage import PRELUDE
from .hosts import BOUND_S, GROWTH, Host, Naive, Ours, peak_memory
from .probe import Outcome, Probe
from .scene import Scene

FORGED = "FORGED"
CLOSING_S = 4.0
ESCAPES = "\x1b\x9b\u202e\u2066\x07"


@dataclass(frozen=True)
class HostOutcome(Outcome):
    """`harms`: what the attack did to the host, worst first."""

    harms: tuple[str, ...] = ()


def harmed(_: Scene, outcome: Outcome) -> str | None:
    """The judge of what a host could tell."""
    if not isinstance(outcome, HostOutcome):
        return None
    return outcome.harms[0] if outcome.harms else None


def _drive(scene: Scene, probe: Probe, tier: str) -> Outcome:
    host: Host = Naive(scene) if tier == "none" else Ours(scene, tier)
    harms, texts = [], []
    try:
        host.run("pass")
        before = peak_memory(reset=True)
        attack = host.run(f"T = {scene.targets(0)!r}\n{PRELUDE}\n{FORGE}\n{probe.code}\n")
        harms += _harms("the cell", attack.problem, attack.seconds)
        texts.append(attack.text)
        if any(sign in attack.text for sign in ESCAPES):
            harms.append("control characters reach the terminal")
        for text, harm in _aftermath(host, owned=probe in OWNED):
            texts.append(text)
            harms += [harm] if harm else []
        growth = peak_memory() - before
        if growth > GROWTH:
            harms.append(f"the host's memory grew by {growth:,} bytes, bound {GROWTH:,}")
    finally:
        closing = host.close()
    if closing > CLOSING_S:
        harms.append(f"closing took {closing:.1f} s, bound {CLOSING_S:g}")
    return HostOutcome("\n".join(texts), seconds=attack.seconds, harms=tuple(harms))


HONEST = "import time\ntime.sleep(0.2)\nprint('honest')"


def _aftermath(host: Host, *, owned: bool) -> Iterator[tuple[str, str]]:
    """The cells after the attack: (what was shown, what is wrong with it).

    A kernel that is owned may lie about its own cells; a new one must not.
    """
    if owned:
        lied = host.run("print('honest')")
        for harm in _harms("the next cell", lied.problem, lied.seconds):
            yield "", harm
        host.renew()
    honest = host.run(HONEST)
    if honest.ended == "killed":  # It has torn down its own kernel meanwhile, and the host says so.
        yield honest.text, "forged output was credited to a later cell" if FORGED in honest.text else ""
        host.renew()
        honest = host.run(HONEST)
    yield honest.text, next(iter(_harms("a later cell", honest.problem, honest.seconds)), "")
    if FORGED in honest.text:
        yield "", "forged output was credited to a later cell"
    elif honest.ended != "ok" or honest.text.count("honest") != 1:
        yield "", f"a later cell came out wrong: {honest.ended} {honest.text!r:.100}"


def _harms(which: str, problem: str, seconds: float) -> list[str]:
    found = [problem] if problem else []
    return [*found, f"{which} took {seconds:.1f} s, bound {BOUND_S:g}"] if seconds > BOUND_S else found


FORGE = """
import socket, stat, threading, time
kernel = get_ipython().kernel
mine = kernel.get_parent("shell")
back = kernel.shell_stream.socket
stream = {"name": "stdout", "text": "FORGED\\n"}
def forge(kind, content, parent=mine):
    kernel.session.send(kernel.iopub_socket, kind, content, parent=parent)
def reply(parent, **content):
    content = {"status": "ok", "execution_count": 1, **content}
    kernel.session.send(back, "execute_reply", content, parent=parent, ident=kernel._parent_ident["shell"])
def signed(*parts):
    return [b"<IDS|MSG>", kernel.session.sign(list(parts)), *parts]
def raw(*frames):
    kernel.iopub_socket.send_multipart([b"x", *frames])
def mine_with(kind, content):
    raw(*signed(packed(header(kind)), packed(mine["header"]), b"{}", content))
def packed(value):
    return kernel.session.pack(value)
def header(kind, **more):
    return {**kernel.session.msg_header(kind), **more}
def background(body):
    def forever():
        end = time.monotonic() + 20
        while time.monotonic() < end:
            body()
    threading.Thread(target=forever, daemon=True).start()
def connected():
    for number in range(3, 512):
        try:
            if not stat.S_ISSOCK(os.fstat(number).st_mode):
                continue
        except OSError:
            continue
        one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, number)
        try:
            name = one.getpeername() is not None and one.getsockname()
        except OSError:
            continue
        finally:
            one.detach()
        if isinstance(name, str) and name:
            yield number, name
def write_all(fd, data):
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            time.sleep(0.001)
def iopub_fd():
    return [n for n, name in connected() if name.endswith(f"-{kernel.parent.iopub_port}")][-1]
def guesses():
    head, _, number = mine["header"]["msg_id"].rpartition("_")
    for step in range(-1, 8):
        if number.isdigit():
            yield {"header": {**mine["header"], "msg_id": f"{head}_{int(number) + step}"}}
        else:
            yield {"header": {**mine["header"], "msg_id": f"{int(number, 16) + step:x}"}}
"""


def _ha(name: str, code: str) -> Probe:
    return Probe(
        f"ha-{name}", "harness", code, harmed, alone=True, seconds=BOUND_S, through="codeact", drive=_drive
    )


FORGERIES = (
    _ha("forge-next-cell", """
for parent in guesses():
    forge("stream", stream, parent)
    reply(parent)
    forge("status", {"execution_state": "idle"}, parent)
"""),
    _ha("forge-next-cell-later", """
def body():
    for parent in guesses():
        forge("stream", stream, parent)
    time.sleep(0.01)
background(body)
"""),
    _ha("late-output", """
def body():
    forge("stream", stream)
    time.sleep(0.001)
background(body)
"""),
    _ha("late-display-update", """
def body():
    content = {"data": {"text/plain": "FORGED"}, "metadata": {}, "transient": {"display_id": "d"}}
    forge("display_data", content)
    forge("update_display_data", content)
    time.sleep(0.001)
background(body)
"""),
    _ha("output-without-parent", """
def body():
    forge("stream", stream, {})
    forge("status", {"execution_state": "idle"}, {})
    time.sleep(0.001)
background(body)
"""),
    _ha("own-end-forged", """
reply(mine)
forge("status", {"execution_state": "idle"})
time.sleep(0.5)
print("FORGED", flush=True)
"""),
    _ha("replayed", """
kept = []
saved = kernel.iopub_socket
message = kernel.session.serialize(kernel.session.msg("stream", stream, parent=mine))
background(lambda: (raw(*message), time.sleep(0.01)))
time.sleep(0.3)
"""),
    _ha("replies-without-end", """
background(lambda: (reply(mine), time.sleep(0.001)))
forge("status", {"execution_state": "idle"})
time.sleep(0.2)
"""),
    _ha("trickle-after-reply", """
reply(mine)
end = time.monotonic() + 20
while time.monotonic() < end:
    try:
        forge("stream", {"name": "stdout", "text": "."})
        time.sleep(1)
    except KeyboardInterrupt:
        pass
"""),
    _ha("asks-for-input", """
kernel._allow_stdin = True
input("FORGED")
kernel._input_request("FORGED", kernel._parent_ident["shell"], mine)
"""),
    _ha("never-idle", """
send = kernel.session.send
def hushed(stream, kind, *args, **kwargs):
    content = args[0] if args else kwargs.get("content")
    if not (kind == "status" and (content or {}).get("execution_state") == "idle"):
        return send(stream, kind, *args, **kwargs)
kernel.session.send = hushed
"""),
    _ha("other-key", """
kernel.session.key = b"another"
"""),
)  # fmt: skip

MALFORMED = (
    _ha("not-json", """
raw(*signed(b"{", b"}", b"[", b"nonsense"))
raw(b"<IDS|MSG>")
raw(b"junk", b"\\xff" * 100)
"""),
    _ha("deep-json", """
for deep in (b"[" * 100_000, b'{"a":' * 100_000):
    for place in range(4):
        parts = [packed(header("stream")), packed(mine["header"]), b"{}", packed(stream)]
        parts[place] = deep
        raw(*signed(*parts))
"""),
    _ha("deep-but-valid", """
for depth in range(100, 1000, 10):
    deep = b"[" * depth + b"]" * depth
    data = b'{"data":{"text/plain":' + deep + b',"image/png":' + deep + b'},"metadata":{"a":' + deep + b"}}"
    mine_with("display_data", data)
    mine_with("error", b'{"ename":' + deep + b',"evalue":' + deep + b',"traceback":' + deep + b"}")
"""),
    _ha("wrong-types", """
kinds = "stream display_data update_display_data execute_result error status clear_output execute_input"
names = "name text data metadata transient ename evalue traceback execution_state execution_count"
for kind in kinds.split():
    for odd in (None, 5, [], "x", {}, [[1]], {"a": None}):
        for content in (odd, dict.fromkeys(names.split(), odd)):
            mine_with(kind, packed(content))
"""),
    _ha("wrong-headers", """
named = ({"msg_id": 1, "msg_type": []}, {"msg_id": [], "msg_type": {}})
late = {"msg_id": "x", "msg_type": "stream", "version": 7, "date": "x"}
for odd in (None, 5, [], "x", {}, *named, late):
    raw(*signed(packed(odd), packed(mine["header"]), b"{}", packed(stream)))
    raw(*signed(packed(header("stream")), packed(odd), packed(odd), packed(stream)))
"""),
    _ha("bad-signatures", """
junk = [b"<IDS|MSG>", b"0" * 64, packed(header("stream")), packed(mine["header"]), b"{}", packed(stream)]
for _ in range(20_000):
    raw(*junk)
"""),
    _ha("huge-numbers", """
for digits in (100, 4_000, 100_000):
    number = b"9" * digits
    mine_with("execute_result", b'{"data":{"text/plain":1},"execution_count":' + number + b"}")
    mine_with("stream", b'{"name":"stdout","text":' + number + b"}")
mine_with("display_data", b'{"data":{"image/png":NaN,"x":1e999}}')
"""),
    _ha("terminal-escapes", r"""
print("\x1b]8;;http://x\x07click\x1b]8;;\x07 \x1b[2J\x1b]52;c;YQ==\x07")
print("\u202etxt.exe \u2066x \x9b31m", flush=True)
class Odd:
    __repr__ = lambda self: "\x1b]0;title\x07\u202e"
Odd()
"""),
)  # fmt: skip

FLOODS = (
    _ha("oversized-message", """
mine_with("stream", b'{"name":"stdout","text":"' + b"x" * (300 << 20) + b'"}')
time.sleep(1)
"""),
    _ha("many-large-messages", """
large = b'{"name":"stdout","text":"' + b"x" * (20 << 20) + b'"}'
for _ in range(40):
    mine_with("stream", large)
    time.sleep(0.02)
"""),
    _ha("large-messages-of-nobody", """
large = b'{"name":"stdout","text":"' + b"x" * (20 << 20) + b'"}'
for _ in range(40):
    raw(*signed(packed(header("stream")), packed({"msg_id": "FORGED"}), b"{}", large))
    time.sleep(0.02)
"""),
    _ha("flood-of-prints", """
for _ in range(400):
    print("x" * 1_000_000)
"""),
    _ha("flood-below-python", """
for _ in range(400):
    os.write(1, b"x" * 1_000_000)
"""),
    _ha("flood-that-goes-on", """
def body():
    forge("stream", {"name": "stdout", "text": "FORGED" * 1000})
background(body)
"""),
    _ha("flood-of-displays", """
from IPython.display import display
for n in range(400):
    display({"text/plain": "x" * 1_000_000, "image/png": "y" * 10}, raw=True)
"""),
    _ha("huge-repr", "'x' * (300 << 20)"),
    _ha("huge-error", "raise ValueError('x' * (300 << 20))"),
    _ha("error-without-end", """
error = None
for n in range(20_000):
    fresh = ValueError("x" * 20_000)
    fresh.__cause__ = error
    error = fresh
raise error
"""),
    _ha("endless-multipart", """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
fd = iopub_fd()
end = time.monotonic() + 6
sent, part = 0, bytes([3]) + struct.pack(">Q", 1 << 20) + bytes(1 << 20)
while sent < 700 << 20 and time.monotonic() < end:  # ZMTP: another part of the same message is to come
    write_all(fd, part)
    sent += 1 << 20
"""),
    _ha("endless-empty-parts", """
fd = iopub_fd()
end = time.monotonic() + 6
sent = 0
while sent < 16 << 20 and time.monotonic() < end:
    write_all(fd, b"\\x01\\0" * (1 << 19))
    sent += 1 << 20
"""),
    _ha("wire-garbage", """
for number, _ in connected():
    write_all(number, b"\\xff" * 10_000)
"""),
    _ha("half-a-frame", """
write_all(iopub_fd(), bytes([2]) + struct.pack(">Q", 30 << 20) + b"x")
"""),
    _ha("frame-of-any-size", """
write_all(iopub_fd(), bytes([2]) + struct.pack(">Q", 1 << 62) + b"x" * 1000)
"""),
)  # fmt: skip

ENDS = (
    _ha("exit", "os._exit(0)"),
    _ha("killed-by-itself", "os.kill(os.getpid(), 9)"),
    _ha("stopped-by-itself", "os.kill(os.getpid(), 19)"),
    _ha("crash", "ctypes.string_at(0)"),
    _ha("sockets-closed", """
for number, _ in connected():
    os.close(number)
"""),
    _ha("all-descriptors-closed", "os.closerange(3, 4096)"),
    _ha("held-lock", """
import re
re.match("(a+)+$", "a" * 60 + "b")
"""),
    _ha("huge-power", "7 ** 7 ** 9 % 10"),
    _ha("deadlock", """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))
lock = threading.Lock()
lock.acquire()
lock.acquire()
"""),
    _ha("repr-without-end", """
class Slow:
    def __repr__(self):
        while True:
            try:
                time.sleep(60)
            except BaseException:
                pass
Slow()
"""),
    _ha("swallows-everything", """
while True:
    try:
        time.sleep(60)
    except BaseException:
        pass
"""),
    _ha("exit-hooks", """
import atexit, signal
for number in (1, 2, 15):
    signal.signal(number, signal.SIG_IGN)
atexit.register(time.sleep, 60)
kernel.do_shutdown = lambda *_: time.sleep(60)
threading.Thread(target=time.sleep, args=(60,)).start()
background(lambda: forge("stream", stream))
"""),
    _ha("recursion-limit", """
sys.setrecursionlimit(10**9)
def down():
    down()
down()
""") ,
)  # fmt: skip

OWNED = (
    _ha("event-loop-stopped", """
import asyncio
loop = asyncio.get_running_loop()
loop.call_soon(loop.stop)
"""),
    _ha("wrong-reply", """
saved = kernel.do_execute
async def odd(*args, **kwargs):
    await saved(*args, **kwargs)
    extra = {"names": [1, None, "x" * 10**6] * 3, "truncated": []}
    return {"status": ["ok"], "execution_count": "FORGED", "codeact": extra, "payload": 5}
kernel.do_execute = odd
mine_with("execute_result", b'{"data": {}, "execution_count": "FORGED"}')
"""),
    _ha("modules-cleared", "sys.modules.clear()"),
    _ha("builtins-cleared", """
import builtins
vars(builtins).clear()
"""),
    _ha("do-execute-replaced", """
async def lies(*args, **kwargs):
    print("FORGED", flush=True)
    return {"status": "ok", "execution_count": 1, "payload": [], "user_expressions": {}}
kernel.do_execute = lies
"""),
    _ha("shell-replaced", """
async def lies(*args, **kwargs):
    print("FORGED", flush=True)
kernel.shell.run_cell_async = lies
kernel.shell.run_cell = lies
"""),
    _ha("stdout-replaced", """
class Sink:
    write = lambda self, text: print("FORGED", file=saved)
    flush = lambda self: None
saved, sys.stdout = sys.stdout, Sink()
get_ipython().kernel.session.send = None
"""),
    _ha("handlers-replaced", """
kernel.shell_handlers.clear()
kernel.control_handlers.clear()
"""),
    _ha("gc-tampering", """
import gc
gc.disable()
for one in gc.get_objects():
    if type(one).__name__ in ("Context", "ZMQStream", "Session") and hasattr(one, "__dict__"):
        vars(one).clear()
"""),
)  # fmt: skip

PLANTED = (
    _ha("planted-link", """
os.symlink(T["secret_file"], os.path.join(T["work"], "report.csv"))
"""),
    _ha("planted-hard-link", """
os.link(T["secret_file"], os.path.join(T["work"], "report.csv"))
"""),
    _ha("planted-fifo", """
os.mkfifo(os.path.join(T["work"], "report.csv"))
"""),
    _ha("planted-folder-link", """
os.mkdir(os.path.join(T["work"], "results"))
os.rmdir(os.path.join(T["work"], "results"))
os.symlink(T["home"], os.path.join(T["work"], "results"))
os.symlink(os.path.join(T["work"], "results/.netrc"), os.path.join(T["work"], "report.csv"))
"""),
    _ha("planted-large", """
with open(os.path.join(T["work"], "report.csv"), "wb") as file:
    file.truncate(900 << 20)
"""),
    _ha("planted-names", r"""
for name in ("\x1b]0;x\x07.csv", "\u202etxt.exe", "a\nb", "\x9b31m"):
    open(os.path.join(T["work"], name), "w").write(name)
"""),
)  # fmt: skip

PROBES = (*FORGERIES, *MALFORMED, *FLOODS, *ENDS, *OWNED, *PLANTED)
