"""Owns the table of ordinary code that the guard must leave alone: no refusal, no error, same results."""

from __future__ import annotations

# ruff: noqa: E501  # cells are given as a model writes them

ORDINARY = r"""
import dataclasses
from dataclasses import dataclass, field
@dataclass(frozen=True, order=True)
class P:
    x: int
    tags: list[str] = field(default_factory=list)
assert repr(P(1)) == "P(x=1, tags=[])"; dataclasses.replace(P(1), x=2)
###
@__import__("dataclasses").dataclass(slots=True)
class Q:
    x: "int" = 1
assert Q().x == 1
###
from collections import namedtuple, Counter, defaultdict, OrderedDict, deque
T = namedtuple("T", "a b"); assert T(1, 2)._asdict() == {"a": 1, "b": 2}
###
from typing import NamedTuple, TypedDict, Protocol, Optional
class R(NamedTuple):
    a: int
    b: Optional["R"] = None
class D(TypedDict):
    k: str
assert R(1).b is None
###
import enum
class C(enum.Enum):
    RED = enum.auto()
    @property
    def low(self): return self.name.lower()
assert C.RED.low == "red"
###
class A:
    def __init__(self, x): self.x = x
    def __repr__(self): return f"A({self.x})"
class B(A):
    def __init__(self, x):
        super().__init__(x)
        self.d = self.__dict__
    @classmethod
    def make(cls): return cls(3)
    def me(self): return __class__.__name__, type(self).__name__, self.__class__.__name__
assert B.make().me() == ("B", "B", "B") and B(1).d["x"] == 1
###
from abc import ABC, abstractmethod
class Base(ABC):
    @abstractmethod
    def f(self): ...
class Impl(Base):
    def f(self): return 1
assert Impl().f() == 1
###
import contextlib
@contextlib.contextmanager
def cm():
    yield 3
with cm() as x: assert x == 3
###
import functools
@functools.singledispatch
def f(x): return "any"
@f.register
def _(x: int): return "int"
@f.register(str)
def _(x): return "str"
assert (f(1), f("a"), f(1.0)) == ("int", "str", "any")
@functools.lru_cache
def fib(n): return n if n < 2 else fib(n-1) + fib(n-2)
assert fib(30) == 832040
###
import pandas as pd, numpy as np
df = pd.DataFrame({"k": list("aabb"), "v": [1, 2, 3, 4], "code": 1, "os": 2})
assert df.groupby("k").v.sum().to_dict() == {"a": 3, "b": 7}
assert df.code.sum() == 4 and df.os.sum() == 8
t = 2
assert len(df.query("v > @t and code == 1")) == 2
df["w"] = df.eval("v * 2")
assert df.pipe(lambda d: d[d.w > 2]).shape[0] == 3
df.to_csv("x.csv", index=False); assert pd.read_csv("x.csv").equals(df)
df.describe(); df.select_dtypes("number"); df.apply(lambda r: r.v, axis=1); df.plot
###
import pandas as pd
df = pd.DataFrame({"input": [1, 5]}); assert len(df.query("input > 3")) == 1
###
import numpy as np
np.save("a.npy", np.arange(3)); assert np.load("a.npy").sum() == 3
np.testing.assert_allclose(np.linalg.inv(np.eye(2)), np.eye(2)); np.random.default_rng(0).normal(size=3)
np.load("a.npy", allow_pickle=False)
###
import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt
fig, ax = plt.subplots(); ax.plot([1, 2], [3, 4]); ax.set_title("t"); fig.savefig("p.png"); plt.close(fig)
from matplotlib.ticker import FuncFormatter
###
import json; assert json.loads(json.dumps({"a": [1]})) == {"a": [1]}
###
import asyncio
async def f(x):
    await asyncio.sleep(0)
    return x
assert await asyncio.gather(*(f(i) for i in range(3))) == [0, 1, 2]
async with asyncio.timeout(1):
    r = [await f(1)]
async with asyncio.TaskGroup() as tg:
    t = tg.create_task(f(1))
assert t.result() == 1
async def agen():
    for i in range(3): yield i
assert [i async for i in agen()] == [0, 1, 2]
###
import sqlite3
con = sqlite3.connect("db.sqlite"); con.execute("create table t(a)"); con.execute("insert into t values (1)"); con.commit()
assert con.execute("select * from t").fetchall() == [(1,)]
###
from pathlib import Path
Path("d").mkdir(); (Path("d") / "f.txt").write_text("hi"); assert [p.name for p in Path("d").iterdir()] == ["f.txt"]
with open("d/f.txt") as f: assert f.read() == "hi"
###
%time sum(range(10))
###
x = %time 3
###
%%time
y = [i for i in range(3)]
sum(y)
###
%timeit -n2 -r2 sum(range(10))
###
%%timeit -n2 -r2
z = 1
z += 1
###
n = 5
%timeit -n 1 -r 1 n + 1
###
%%capture out
print("hidden")
###
obj = {"a": 1}
obj?
###
obj = [1]
?obj
###
len?
###
%who
###
%whos
###
%pinfo len
###
%precision 3
###
%lsmagic
###
%%writefile note.txt
hello
###
%%html
<b>x</b>
###
from IPython.display import display, HTML, Markdown
display({"a": 1}); display(HTML("<b>x</b>")); Markdown("x")
###
display(1)
###
import IPython.display as ipd
ipd.display(ipd.Markdown("x"))
###
import IPython.display
IPython.display.display(1)
###
g = 3
[[g * i + j for j in range(g)] for i in range(g)]
(lambda: [g for _ in range(2)])()
###
assert "json" not in globals(); globals()["q1"] = 4; assert q1 == 4
assert "q1" in locals() and "q1" in dir() and "q1" in vars() and locals()["q1"] == 4
def f(a):
    b = a; return sorted(locals()), sorted(vars())
assert f(1) == (["a", "b"], ["a", "b"])
class K: z = locals().get("__module__")
len(globals()); dict(globals()).keys(); {**globals()}; [name for name in globals() if name.startswith("df")]
del globals()["q1"]; assert "q1" not in globals() and globals().get("q1", 7) == 7
###
input = 3; compile = "x"; exit = 1; print(input, compile, exit)
###
def forward(input, compile=None, *, exit=False): return input
assert forward(3) == 3
###
import re
assert re.compile(r"a+").match("aa").group() == "aa"
###
getattr("a", "upper")(); getattr("a", "nope", None); hasattr("a", "nope"); setattr(type("X", (), {}), "a", 1)
try: getattr("a", "nope")
except AttributeError as e: assert "nope" in str(e)
try: (1).code
except AttributeError as e: assert "'int' object has no attribute 'code'" in str(e)
###
import urllib.parse; from urllib.parse import urlencode; from urllib import parse
assert urllib.parse.quote("a b") == parse.quote("a b") == "a%20b" and urlencode({"a": 1}) == "a=1"
###
import xml.etree.ElementTree as ET
assert ET.fromstring("<a><b/></a>")[0].tag == "b"
###
import xml.etree.ElementTree
import xml.dom.minidom
assert xml.etree.ElementTree.fromstring("<a/>").tag == "a"
assert xml.dom.minidom.parseString("<a/>").documentElement.tagName == "a"
###
import concurrent.futures
with concurrent.futures.ThreadPoolExecutor(2) as pool: assert list(pool.map(lambda x: x + 1, [1, 2])) == [2, 3]
from concurrent.futures import ThreadPoolExecutor, as_completed
###
import threading, queue
q = queue.Queue()
def work():
    import json
    class Z: pass
    q.put(json.dumps([i for i in range(2)]))
t = threading.Thread(target=work); t.start(); t.join(); assert q.get() == "[0, 1]"
###
from __future__ import annotations
def f(x: int | None = None) -> list[Foo]: return []
f()
###
import ast
assert ast.literal_eval("[1, 2]") == [1, 2] and isinstance(ast.parse("import os"), ast.Module)
###
from math import *
from itertools import *
assert sqrt(4) == 2 and list(chain([1], [2])) == [1, 2]
###
class Node:
    __slots__ = ("__os", "code")
    def __init__(self): self.__os = 1; self.code = "c"
    def both(self): return self.__os, self.code
assert Node().both() == (1, "c")
###
match {"kind": "a", "os": [1, 2]}:
    case {"kind": str(k), "os": [first, *_]}: assert (k, first) == ("a", 1)
class Pt:
    __slots__ = ("x",)
    def __init__(self, x): self.x = x
match Pt(1):
    case Pt(x=v): assert v == 1
###
import logging, traceback, io
s = io.StringIO(); logging.basicConfig(stream=s); logging.warning("w")
try: 1 / 0
except ZeroDivisionError as e: assert "ZeroDivisionError" in traceback.format_exc(); e.with_traceback(None); e.__traceback__
###
def counter():
    total = 0
    while True:
        x = yield total
        if x is None: return total
        total += x
c = counter(); next(c); assert c.send(3) == 3
###
import random, statistics, datetime, decimal, fractions, heapq, bisect, hashlib, base64, uuid, zoneinfo, textwrap, string
assert hashlib.sha256(b"x").hexdigest()[:4] == "2d71" and textwrap.dedent("  a") == "a" and random.Random(1).random()
datetime.datetime.now(zoneinfo.ZoneInfo("UTC")); statistics.mean([1, 2]); decimal.Decimal("1.1"); string.ascii_letters
###
import tempfile, zipfile, csv, gzip
with tempfile.TemporaryDirectory() as d:
    with zipfile.ZipFile(d + "/z.zip", "w") as z: z.writestr("a", "b")
###
import rich.table
from PIL import Image
Image.new("RGB", (2, 2)).save("i.png")
###
assert "os" not in allowed_imports() and "json" in allowed_imports()
###
"{0.real} {1[k]}".format(3, {"k": 1})
f"{3!r:>5} {{}}"
###
import functools, operator
functools.reduce(operator.add, [1, 2]); operator.itemgetter("a")({"a": 1}); sorted([3, 1], key=operator.neg)
###
print(_ih is In, Out, type(_dh))
###
help(len)
###
import types, weakref, copy, collections.abc
types.SimpleNamespace(a=1); copy.deepcopy({"a": [1]}); isinstance([], collections.abc.Sequence)
###
type("Dyn", (object,), {"m": lambda self: 1})().m()
class Meta(type):
    def __new__(mcs, name, bases, ns): return super().__new__(mcs, name, bases, ns)
class Made(metaclass=Meta):
    def __getattr__(self, name): return name
    def __init_subclass__(cls, **kw): super().__init_subclass__(**kw)
assert Made().code == "code" and Made().os == "os"
""".strip("\n").split("\n###\n")
