"""Owns the attacks through modules that an allow-list lets in: numpy, pandas, PIL, the library, IPython."""

from __future__ import annotations

from .probe import Probe

SHELL = 'T["tools"]["touch"] + " " + T["marker"]'
NEW = 'os.path.join(T["outside"], T["mark"])'
FAKE_TOOL = """
def fake_tool(name):
    folder = os.path.join(T["work"], "bin")
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, name)
    with open(path, "w") as file:
        file.write(f"#!{T['tools']['sh']}\\n{T['tools']['touch']} {T['marker']}\\n")
    os.chmod(path, 0o755)
    os.environ["PATH"] = folder + ":/usr/bin:/bin"
"""


def _ga(name: str, code: str, *, alone: bool = False) -> Probe:
    return Probe(f"ga-{name}", "gadgets", code, alone=alone)


NUMPY = (
    _ga("numpy-allow-pickle", f"""
import numpy
class Runs:
    def __reduce__(self):
        return os.system, ({SHELL},)
numpy.save("bomb.npy", numpy.array([Runs()], dtype=object), allow_pickle=True)
numpy.load("bomb.npy", allow_pickle=True)
"""),
    _ga("numpy-memmap", """
import numpy
show(bytes(numpy.memmap(T["secret_file"], mode="r")))
"""),
    _ga("numpy-memmap-write", """
import numpy
numpy.memmap(T["secret_file"], mode="r+")[0] = 88
"""),
    _ga("numpy-fromfile", """
import numpy
show(numpy.fromfile(T["secret_file"], dtype=numpy.uint8).tobytes())
"""),
    _ga("numpy-loadtxt", """
import numpy
show(str(numpy.loadtxt(T["secret_file"], dtype=str)))
"""),
    _ga("numpy-tofile", f"""
import numpy
numpy.zeros(4).tofile({NEW})
"""),
    _ga("numpy-url", """
import numpy
numpy.genfromtxt(T["url"] + "/x.csv")
"""),
    _ga("numpy-load-library", f"""
import ctypes.util, numpy
paths = (line.split()[-1] for line in open("/proc/self/maps"))
folder, name = os.path.split(next(path for path in paths if "libc.so" in path or "libc-" in path))
numpy.ctypeslib.load_library(name, folder).system(({SHELL}).encode())
"""),
)  # fmt: skip

PANDAS = (
    _ga("pandas-file-url", """
import pandas
show(pandas.read_csv("file://" + T["secret_file"], header=None).to_string())
"""),
    _ga("pandas-http", """
import pandas
pandas.read_csv(T["url"] + "/x.csv")
"""),
    _ga("pandas-read-pickle", f"""
import pandas, pickle
command = {SHELL}
with open("bomb.pkl", "wb") as file:
    file.write(b"cposix\\nsystem\\n(V" + command.encode() + b"\\ntR.")
pandas.read_pickle("bomb.pkl")
"""),
    _ga("pandas-eval", f"""
import pandas
command = {SHELL}
pandas.DataFrame({{"a": [1]}}).query("@pandas.io.common.os.system(@command)")
"""),
    _ga("pandas-to-csv", f"""
import pandas
pandas.DataFrame({{"a": [1]}}).to_csv({NEW})
"""),
    _ga("pandas-to-pickle-compressed", f"""
import pandas
pandas.DataFrame({{"a": [1]}}).to_pickle({NEW} + ".gz")
"""),
)  # fmt: skip

PICTURES = (
    _ga("savefig", f"""
import matplotlib
matplotlib.use("agg")
import matplotlib.figure
matplotlib.figure.Figure().savefig({NEW} + ".png")
"""),
    _ga("matplotlib-style-url", """
import matplotlib
matplotlib.rc_params_from_file(T["url"] + "/x.mplstyle")
"""),
    _ga("matplotlib-movie-writer", """
import matplotlib
from matplotlib import animation, figure
matplotlib.rcParams["animation.ffmpeg_path"] = T["tools"]["sh"]
writer = animation.FFMpegWriter()
writer._args = lambda: [T["tools"]["touch"], T["marker"]]
writer.setup(figure.Figure(), "x.mp4")
writer._proc.wait()
"""),
    _ga("matplotlib-tex", FAKE_TOOL + """
fake_tool("latex")
from matplotlib.texmanager import TexManager
TexManager().make_dvi("x", 10)
"""),
    _ga("pil-save", f"""
import PIL.Image
PIL.Image.new("1", (2, 2)).save({NEW} + ".png")
"""),
    _ga("pil-show", FAKE_TOOL + """
fake_tool("xdg-open")
import importlib, PIL.Image, time
from PIL import ImageShow
ImageShow.XDGViewer().show(PIL.Image.new("1", (2, 2)))
time.sleep(0.3)
"""),
    _ga("pil-ghostscript", FAKE_TOOL + """
fake_tool("gs")
from PIL import EpsImagePlugin, Image
EpsImagePlugin.gs_binary = os.path.join(T["work"], "bin", "gs")
with open("x.eps", "w") as file:
    file.write("%!PS-Adobe-3.0 EPSF-3.0\\n%%BoundingBox: 0 0 9 9\\n%%EndComments\\nshowpage\\n")
Image.open("x.eps").load()
"""),
)  # fmt: skip

FILES = (
    _ga("sqlite-attach", f"""
import sqlite3
base = sqlite3.connect("own.db")
base.execute("attach ? as other", ({NEW},))
base.execute("create table other.t (a)")
"""),
    _ga("sqlite-vacuum-into", f"""
import sqlite3
base = sqlite3.connect(":memory:")
base.execute("create table t (a)")
base.execute("vacuum into ?", ({NEW},))
"""),
    _ga("dbm", f"""
import dbm.dumb
dbm.dumb.open({NEW}, "c").close()
"""),
    _ga("shelve", f"""
import pickle, shelve
class Runs:
    def __reduce__(self):
        return os.system, ({SHELL},)
with shelve.open("own") as base:
    base["x"] = Runs()
with shelve.open("own") as base:
    base["x"]
"""),
    _ga("tempfile", """
import tempfile
tempfile.NamedTemporaryFile(dir=T["outside"], delete=False).close()
"""),
    _ga("tempfile-elsewhere", """
import tempfile
for folder in T["drops"]:
    try:
        tempfile.NamedTemporaryFile(prefix=T["mark"], dir=folder, delete=False).close()
    except OSError as error:
        print(error)
"""),
    _ga("shutil-copy", """
import shutil
show(open(shutil.copy(T["secret_file"], "copied.txt")).read())
"""),
    _ga("shutil-copytree", """
import shutil
shutil.copytree(T["home"], "copied-home")
"""),
    _ga("shutil-make-archive", """
import shutil
with open(shutil.make_archive("archived", "tar", T["outside"]), "rb") as file:
    show(file.read())
"""),
    _ga("shutil-move-out", f"""
import shutil
open("moving.txt", "w").close()
shutil.move("moving.txt", {NEW})
"""),
    _ga("tar-traversal", """
import io, tarfile
with tarfile.open("climbs.tar", "w") as archive:
    archive.addfile(tarfile.TarInfo("../" * 12 + os.path.join(T["outside"], T["mark"])), io.BytesIO())
tarfile.open("climbs.tar").extractall(T["work"], filter="fully_trusted")
"""),
    _ga("tar-link", """
import io, tarfile
with tarfile.open("links.tar", "w") as archive:
    link = tarfile.TarInfo("way")
    link.type, link.linkname = tarfile.SYMTYPE, T["outside"]
    archive.addfile(link)
    archive.addfile(tarfile.TarInfo("way/" + T["mark"]), io.BytesIO())
tarfile.open("links.tar").extractall(T["work"], filter="fully_trusted")
"""),
    _ga("zip-extract", """
import zipfile
with zipfile.ZipFile("plain.zip", "w") as archive:
    archive.writestr(T["mark"], "x")
zipfile.ZipFile("plain.zip").extractall(T["outside"])
"""),
    _ga("config-parser", """
import configparser
configparser.ConfigParser().read(T["secret_file"])  # the error quotes the line
"""),
    _ga("netrc", """
import linecache
show("".join(linecache.getlines(os.path.join(T["home"], ".netrc"))))
"""),
    _ga("fileinput", """
import fileinput
show("".join(fileinput.input(os.path.join(T["home"], ".ssh/id_rsa"))))
"""),
    _ga("url-of-a-file", """
import urllib.request
show(urllib.request.urlopen("file://" + T["secret_file"]).read())
"""),
    _ga("xml-entity", """
import io, xml.sax, xml.sax.handler
class Prints(xml.sax.handler.ContentHandler):
    characters = lambda self, text: show(text)
reader = xml.sax.make_parser()
reader.setFeature(xml.sax.handler.feature_external_ges, True)
reader.setContentHandler(Prints())
reader.parse(io.StringIO(f'<!DOCTYPE a [<!ENTITY x SYSTEM "file://{T["secret_file"]}">]><a>&x;</a>'))
"""),
    _ga("source-of-a-traceback", """
import traceback
try:
    exec(compile("1 / 0", T["secret_file"], "exec"))
except ZeroDivisionError:
    show(traceback.format_exc())  # tracebacks quote the file
"""),
    _ga("profile-dump", f"""
import cProfile
profile = cProfile.Profile()
profile.runcall(len, "x")
profile.dump_stats({NEW})
"""),
    _ga("log-file", f"""
import logging
logging.FileHandler({NEW}).close()
"""),
    _ga("compiled-elsewhere", f"""
import py_compile
open("plain.py", "w").close()
py_compile.compile("plain.py", {NEW})
"""),
    _ga("shared-memory", """
from multiprocessing import resource_tracker, shared_memory
resource_tracker.register = lambda *_: None
shared_memory.SharedMemory(T["mark"], create=True, size=4096).close()
"""),
)  # fmt: skip

NETWORK = (
    _ga("log-to-a-socket", """
import logging.handlers
handler = logging.handlers.SocketHandler(*T["tcp"])
handler.makeSocket(timeout=1)
"""),
    _ga("log-to-a-datagram", """
import logging.handlers
handler = logging.handlers.DatagramHandler(*T["udp"])
handler.send(b"x")
"""),
    _ga("log-to-syslog", """
import logging.handlers
handler = logging.handlers.SysLogHandler(T["unix_dgram"])
handler.emit(logging.makeLogRecord({"msg": "x"}))
"""),
    _ga("asyncio-connection", """
import asyncio
await asyncio.wait_for(asyncio.open_connection(*T["tcp"]), 1)
"""),
    _ga("asyncio-unix", """
import asyncio
await asyncio.wait_for(asyncio.open_unix_connection(T["unix"]), 1)
"""),
    _ga("tornado-client", """
from tornado.httpclient import AsyncHTTPClient
await AsyncHTTPClient().fetch(T["url"], request_timeout=1)
"""),
    _ga("smtp", """
import smtplib
smtplib.SMTP(*T["tcp"], timeout=1)
"""),
    _ga("xml-rpc", """
import socket, xmlrpc.client
socket.setdefaulttimeout(1)
try:
    xmlrpc.client.ServerProxy(T["url"]).x()
finally:
    socket.setdefaulttimeout(None)
"""),
    _ga("certificate", """
import ssl
ssl.get_server_certificate(tuple(T["tcp"]), timeout=1)
"""),
    _ga("multiprocessing-client", """
from multiprocessing.connection import Client
Client(T["unix"])
"""),
    _ga("display-url", """
from IPython.display import HTML, display
display(HTML(url=T["url"]))
"""),
)  # fmt: skip

PROGRAMS = (
    _ga("asyncio-subprocess", """
import asyncio
done = await asyncio.create_subprocess_exec(T["tools"]["touch"], T["marker"])
await done.wait()
"""),
    _ga("process-pool", """
from concurrent.futures import ProcessPoolExecutor
import multiprocessing
with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
    pool.submit(leave_mark).result(3)
""", alone=True),
    _ga("webbrowser", """
import webbrowser
webbrowser.GenericBrowser([T["tools"]["touch"], T["marker"]]).open("x")
"""),
    _ga("pager", f"""
import pydoc
pydoc.pipe_pager("x", {SHELL}) if hasattr(pydoc, "pipe_pager") else pydoc.pipepager("x", {SHELL})
"""),
    _ga("imap-stream", f"""
import imaplib
imaplib.IMAP4_stream({SHELL})
"""),
    _ga("find-library", FAKE_TOOL + """
fake_tool("gcc")
import ctypes.util
ctypes.util.find_library("no-such-library")
"""),
    _ga("uuid-ifconfig", FAKE_TOOL + """
fake_tool("ifconfig")
import uuid
uuid._get_command_stdout("ifconfig", "-a")
"""),
    _ga("platform-processor", FAKE_TOOL + """
fake_tool("uname")
import platform
platform._Processor.from_subprocess()
"""),
)  # fmt: skip

IPYTHON = (
    _ga("run", """
get_ipython().run_line_magic("run", T["secret_file"])  # an error that quotes the line
"""),
    _ga("pycat", """
get_ipython().run_line_magic("pycat", T["secret_file"])
show(str(get_ipython().payload_manager.read_payload()))
get_ipython().payload_manager.clear_payload()
"""),
    _ga("load", """
get_ipython().run_line_magic("load", T["secret_file"])
show(get_ipython().payload_manager.read_payload()[0]["text"])
get_ipython().payload_manager.clear_payload()
"""),
    _ga("sx", f"""
get_ipython().run_line_magic("sx", {SHELL})
"""),
    _ga("bash-cell", f"""
get_ipython().run_cell_magic("bash", "", {SHELL})
"""),
    _ga("script-cell", f"""
get_ipython().run_cell_magic("script", T["tools"]["sh"], {SHELL})
"""),
    _ga("system", f"""
get_ipython().system({SHELL})
"""),
    _ga("getoutput", f"""
get_ipython().getoutput({SHELL})
"""),
    _ga("writefile", f"""
get_ipython().run_cell_magic("writefile", {NEW}, "x")
"""),
    _ga("logstart", f"""
get_ipython().run_line_magic("logstart", {NEW})
get_ipython().run_line_magic("logstop", "")
"""),
    _ga("save", f"""
get_ipython().run_line_magic("history", "-f " + {NEW})
"""),
    _ga("display-file", """
from IPython.display import HTML, Markdown, display
display(Markdown(filename=T["secret_file"]))
"""),
    _ga("display-embedded", """
from IPython.display import Video
import base64
html = Video(T["secret_file"], embed=True, mimetype="video/mp4")._repr_html_()
show(base64.b64decode(html.partition("base64,")[2].partition('"')[0]))
"""),
    _ga("pip", FAKE_TOOL + """
import sys
fake_tool("python")
saved, sys.executable = sys.executable, os.path.join(T["work"], "bin", "python")
try:
    get_ipython().run_line_magic("pip", "--version")
finally:
    sys.executable = saved
"""),
)  # fmt: skip

PROBES = (*NUMPY, *PANDAS, *PICTURES, *FILES, *NETWORK, *PROGRAMS, *IPYTHON)
