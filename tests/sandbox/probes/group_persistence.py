"""Owns the attacks that plant something for the next kernel: of a new session in the same workspace, or of
the same session after a restart.

What was planted tells by the marker in the workspace that it ran, or by a claim that it was read. The control
is a stock kernel, started as many kernelspecs do (`python -c`), with a home that stays.
"""

from __future__ import annotations

import sys

from .cage import PRELUDE, Cage
from .group_harness import HostOutcome, harmed
from .hosts import Naive, Ours
from .judge import reached, try_one
from .probe import Outcome, Probe
from .scene import Scene

STOCK = [
    sys.executable,
    "-c",
    "from ipykernel.kernelapp import launch_new_instance; launch_new_instance()",
    "-f",
    "{connection_file}",
]


def _drive(scene: Scene, probe: Probe, tier: str) -> Outcome:
    if tier == "none":
        return _stock(scene, probe)
    return HostOutcome(harms=tuple(filter(None, (_new_session(probe, tier), _restarted(scene, probe, tier)))))


def _stock(scene: Scene, probe: Probe) -> Outcome:
    texts = []
    for code in (probe.code, probe.then):
        try:
            host = Naive(scene, STOCK)
        except RuntimeError as died:  # what was planted broke its start: it ran
            texts.append(str(died))
            continue
        texts.append(host.run(_cell(scene, code)).text)
        host.close()
    return HostOutcome(texts[0], then_text=texts[1])


def _new_session(probe: Probe, tier: str) -> str | None:
    """By a stock client, in the workspace that the user named."""
    plain = Probe(probe.name, probe.group, probe.code, claims=probe.claims, alone=True, then=probe.then)
    return try_one(Cage(tier, "ipc", plain), plain)[1]


def _restarted(scene: Scene, probe: Probe, tier: str) -> str | None:
    """By our own host: the next kernel of the same session."""
    host = Ours(scene, tier)
    try:
        first = host.run(_cell(scene, probe.code)).text
        host.renew()
        then = host.run(_cell(scene, probe.then)).text
    finally:
        host.close()
    unjudged = Probe(probe.name, probe.group, "", claims=probe.claims)
    return reached(scene, unjudged, Outcome(first, then_text=then))


def _cell(scene: Scene, code: str) -> str:
    return f"T = {scene.targets(0)!r}\n{PRELUDE}\n{code}\n"


PLANT = """
import site, sysconfig
RUNS = f"fd = __import__('os').open({T['marker']!r}, 0o101, 0o600)\\n"
def plant(path, text=RUNS):
    path = os.path.join(T["work"], os.path.expanduser(path))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)
"""


def _pe(name: str, code: str, then: str = "1", *, claims: bool = False) -> Probe:
    return Probe(
        f"pe-{name}",
        "persistence",
        PLANT + code,
        harmed,
        claims=claims,
        alone=True,
        then=then,
        through="codeact",
        drive=_drive,
    )


def _shadow(name: str, *, then: str = "1") -> Probe:
    """A module in the workspace with the name of one that the start of a kernel imports."""
    return _pe(f"shadow-{name.replace('/__init__', '')}", f'plant("{name}.py")', then)


def _found(name: str, where: str) -> Probe:
    """A file in a place of the kernel's own is there again for the next one."""
    path = f"os.path.join({where}, T['mark'])"
    then = f'if os.path.exists({path}):\n    claim("found what the last kernel left")'
    return _pe(name, f"plant({path})", "import site\n" + then, claims=True)


STARTUP = (
    _pe("ipython-startup", """
plant(os.path.join(get_ipython().profile_dir.startup_dir, "00-evil.py"))
"""),
    _pe("ipython-startup-ipy", """
plant(os.path.join(get_ipython().profile_dir.startup_dir, "00-evil.ipy"))
"""),
    _pe("ipython-config", """
plant(os.path.join(get_ipython().profile_dir.location, "ipython_config.py"))
"""),
    _pe("ipython-kernel-config", """
plant(os.path.join(get_ipython().profile_dir.location, "ipython_kernel_config.py"))
"""),
    _pe("ipython-config-json", """
import json
lines = {"InteractiveShellApp": {"exec_lines": [RUNS]}}
plant(os.path.join(get_ipython().profile_dir.location, "ipython_kernel_config.json"), json.dumps(lines))
"""),
    _pe("ipython-extension", """
EXTENSION = RUNS + "def load_ipython_extension(shell): pass\\n"
plant(os.path.join(get_ipython().ipython_dir, "extensions", "evil_extension.py"), EXTENSION)
lines = "get_config().InteractiveShellApp.extensions = ['evil_extension']\\n"
plant(os.path.join(get_ipython().profile_dir.location, "ipython_kernel_config.py"), lines)
plant("evil_extension.py", EXTENSION)
"""),
    _pe("ipython-history", """
unlikely = "remembered by the next kernel"
""", """
import io, contextlib
said = io.StringIO()
with contextlib.redirect_stdout(said):
    get_ipython().run_line_magic("history", "-g unlikely")
if "remembered by" in said.getvalue():
    claim("the history of the last kernel")
""", claims=True),
    _pe("matplotlib-config", """
import matplotlib
plant(os.path.join(matplotlib.get_configdir(), "matplotlibrc"), "figure.dpi: 137\\n")
""", """
import matplotlib
if matplotlib.rcParams["figure.dpi"] == 137:
    claim("settings of the last kernel")
""", claims=True),
    _pe("matplotlib-style", """
import matplotlib
plant(os.path.join(matplotlib.get_configdir(), "stylelib", "evil.mplstyle"), "figure.dpi: 137\\n")
""", """
import matplotlib.style
if "evil" in matplotlib.style.available:
    claim("a style of the last kernel")
""", claims=True),
)  # fmt: skip

SHADOWS = (
    _shadow("json/__init__"),
    _shadow("zmq/__init__"),
    _shadow("traitlets/__init__"),
    _shadow("IPython/__init__"),
    _shadow("ipykernel/__init__"),
    _shadow("jupyter_client/__init__"),
    _shadow("tornado/__init__"),
    _shadow("asyncio/__init__"),
    _shadow("logging/__init__"),
    _shadow("random"),
    _shadow("uuid"),
    _shadow("ctypes/__init__"),
    _pe("shadow-everything", """
ours = {"codeact_kernel", "launcher", "supervisor", "confine", "numpy", "sitecustomize"}
for name in sys.stdlib_module_names | ours:
    plant(f"{name}.py")
"""),
    _pe("shadow-extension", """
import zlib, shutil
shutil.copyfile(__import__("_ctypes").__file__, os.path.join(T["work"], "_ctypes.so"))
plant("_json.py")
plant("math.py")
plant("signal.py")
"""),
    _pe("shadow-bytecode", """
import importlib.util, py_compile
plant("evil_source.py")
for name in ("json", "zmq", "traitlets", "logging", "signal"):
    py_compile.compile(os.path.join(T["work"], "evil_source.py"), os.path.join(T["work"], name + ".pyc"))
"""),
)  # fmt: skip

LEFT = (
    _found("home", "os.path.expanduser('~')"),
    _found("home-config", "os.path.expanduser('~/.config/pip')"),
    _found("temporary-folder", "__import__('tempfile').gettempdir()"),
    _found("ipython-folder", "get_ipython().ipython_dir"),
    _found("user-site", "site.getusersitepackages()"),
    Probe("pe-workspace-data-link", "persistence", """
# The next start makes links to the declared data there.
for name in os.listdir(T["work"]):
    path = os.path.join(T["work"], name)
    os.rename(path, path + "-moved") if name == "data" else None
os.symlink(T["outside"], os.path.join(T["work"], "data"))
""", alone=True, then="1"),
)  # fmt: skip

PROBES = (*STARTUP, *SHADOWS, *LEFT)
