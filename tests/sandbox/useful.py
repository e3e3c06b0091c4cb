"""Owns the matrix of what has to work inside the cage: one snippet for each library, and what runs them.

As a command, `python -m tests.sandbox.useful NAME`: runs all in the cage of that name, prints JSON.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import asdict, dataclass, replace
from textwrap import dedent

from codeact_kernel.config import Limits, SandboxLimits, SandboxProfile, Settings

from .support import Cell, Lab, setup_with

MIB = 2**20


@dataclass(frozen=True)
class Snippet:
    """A cell that asserts by itself that it worked. `needs`: what has to be installed."""

    code: str
    needs: tuple[str, ...] = ()
    refused: tuple[str, str] | None = None
    """End of the exception's class and a part of its text, where it must not work but say so."""

    @property
    def missing(self) -> str | None:
        """What to do before it can be tried."""
        absent = [name for name in self.needs if importlib.util.find_spec(MODULES.get(name, name)) is None]
        return f"pip install {' '.join(absent)}" if absent else None


@dataclass(frozen=True)
class Outcome:
    """How a cell ended: its status; class and text of its exception, or why it was stopped."""

    status: str
    error: str
    text: str


MODULES = {"scikit-learn": "sklearn", "pillow": "PIL"}
"""By the name of what is installed, where it has another."""

CAGES = {
    "A": SandboxProfile(sandbox="A"),
    "B": SandboxProfile(without=("namespaces",)),
    "C": SandboxProfile(without=("landlock",)),
}
GUARDED = "B"
"""Where the setup cell of a run is in force too; it allows the modules that are to meet the cage."""
ALLOWED = (
    *("asyncio", "concurrent.futures.ProcessPoolExecutor", "ctypes", "getpass", "joblib", "mmap"),
    *("multiprocessing", "os", "pickle", "platform", "requests", "shutil", "socket", "ssl", "subprocess"),
    *("sysconfig", "urllib"),
)
MEMORY = 2048 * MIB
"""Half the default. By itself none of these libraries takes 0.5 GiB, all together take 0.85."""

_NUMERIC = {
    "numpy": Snippet(
        """
        import numpy as np
        rng = np.random.default_rng(0)
        a = rng.normal(size=(300, 300))
        assert np.allclose(a @ np.linalg.inv(a), np.eye(300), atol=1e-6)
        np.save("a.npy", a); np.savez_compressed("a.npz", a=a)
        assert np.array_equal(np.load("a.npy", mmap_mode="r"), np.load("a.npz")["a"])
        """,
        ("numpy",),
    ),
    "big BLAS": Snippet(
        """
        import numpy as np
        a = np.ones((8000, 8000))  # 490 MiB
        assert (a @ np.ones(8000))[7] == 8000
        assert (a[:1000] @ a[:, :50])[5, 7] == 8000
        del a
        """,
        ("numpy",),
    ),
    "pandas": Snippet(
        """
        import pandas as pd
        frame = pd.DataFrame({"day": pd.date_range("2026-01-01", periods=4, tz="Europe/Berlin"),
                              "word": ["a", "b", "a", "c"], "n": range(4)})
        frame.to_csv("f.csv", index=False)
        assert pd.read_csv("f.csv", parse_dates=["day"]).groupby("word").n.sum()["a"] == 2
        frame.to_json("f.json"); frame.to_html("f.html")
        frame
        """,
        ("pandas",),
    ),
    "scipy": Snippet(
        """
        from scipy import fft, integrate, linalg, optimize, signal, sparse, stats
        import numpy as np
        assert abs(integrate.quad(np.sin, 0, np.pi)[0] - 2) < 1e-9
        assert abs(optimize.minimize(lambda x: ((x - 3) ** 2).sum(), [0.0, 0.0]).x - 3).max() < 1e-4
        assert sparse.linalg.spsolve(sparse.eye_array(50, format="csc"), np.ones(50)).sum() == 50
        assert linalg.svdvals(np.eye(20)).sum() == 20 and stats.norm.cdf(0) == 0.5
        assert len(fft.rfft(np.ones(64), workers=2)) == 33 and len(signal.welch(np.ones(512))[0]) == 129
        """,
        ("scipy",),
    ),
    "scikit-learn": Snippet(
        """
        from sklearn.cluster import KMeans
        from sklearn.datasets import load_iris
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.model_selection import cross_val_score
        x, y = load_iris(return_X_y=True)
        assert KMeans(3, n_init=2, random_state=0).fit(x).inertia_ < 80
        assert RandomForestClassifier(20, n_jobs=2, random_state=0).fit(x, y).score(x, y) > 0.9
        """,
        ("scikit-learn",),
    ),
    "scikit-learn in processes": Snippet(  # joblib says that it stays in this one.
        """
        from sklearn.datasets import load_iris
        from sklearn.model_selection import cross_val_score
        from sklearn.tree import DecisionTreeClassifier
        x, y = load_iris(return_X_y=True)
        assert cross_val_score(DecisionTreeClassifier(), x, y, cv=3, n_jobs=2).mean() > 0.9
        """,
        ("scikit-learn",),
    ),
    "sympy": Snippet(
        """
        import sympy
        x = sympy.symbols("x")
        assert sympy.integrate(sympy.exp(-x**2), (x, -sympy.oo, sympy.oo)) == sympy.sqrt(sympy.pi)
        assert abs(sympy.lambdify(x, sympy.sin(x), "math")(0.5) - 0.4794) < 1e-3
        """,
        ("sympy",),
    ),
    "statsmodels": Snippet(
        """
        import numpy as np
        import statsmodels.api as sm
        x = np.arange(50.0)
        assert abs(sm.OLS(2 * x + 1, sm.add_constant(x)).fit().params - [1, 2]).max() < 1e-8
        """,
        ("statsmodels",),
    ),
    "networkx": Snippet(
        """
        import networkx as nx
        assert nx.shortest_path_length(nx.grid_2d_graph(9, 9), (0, 0), (8, 8)) == 16
        """,
        ("networkx",),
    ),
}
_TABLES = {
    "polars": Snippet(
        """
        import polars as pl
        frame = pl.DataFrame({"k": [1, 2] * 5000, "v": range(10000)})
        frame.write_parquet("p.parquet"); frame.write_csv("p.csv")
        found = pl.scan_parquet("p.parquet").group_by("k").agg(pl.col("v").sum()).sort("k").collect()
        assert found["v"].to_list() == [24995000, 25000000]
        assert pl.scan_csv("p.csv").select(pl.len()).collect(engine="streaming").item() == 10000
        found
        """,
        ("polars",),
    ),
    "pyarrow": Snippet(
        """
        import pyarrow as pa, pyarrow.csv, pyarrow.dataset, pyarrow.feather, pyarrow.parquet as pq
        table = pa.table({"a": list(range(1000)), "s": ["x"] * 1000})
        pq.write_table(table, "t.parquet", compression="zstd")
        assert pq.read_table("t.parquet", memory_map=True).equals(table)
        pq.write_to_dataset(table, "parts", partition_cols=["s"])
        assert pa.dataset.dataset("parts", partitioning="hive").count_rows() == 1000
        pa.feather.write_feather(table, "t.feather"); pa.csv.write_csv(table, "t.csv")
        assert pa.csv.read_csv("t.csv").num_rows == 1000
        """,
        ("pyarrow",),
    ),
    "pandas with parquet": Snippet(
        """
        import pandas as pd
        pd.DataFrame({"a": [1, 2], "s": ["x", None]}).to_parquet("d.parquet")
        assert pd.read_parquet("d.parquet").a.sum() == 3
        """,
        ("pandas", "pyarrow"),
    ),
    "duckdb": Snippet(
        """
        import duckdb
        with duckdb.connect("d.duckdb") as base:
            base.execute("create table t as select range as i, range % 7 as k from range(200000)")
            assert len(base.execute("select k, sum(i) from t group by k").fetchall()) == 7
            base.execute("copy t to 'duck.parquet' (format parquet)")
        assert duckdb.sql("select max(i) from 'duck.parquet'").fetchall() == [(199999,)]
        """,
        ("duckdb",),
    ),
    "sqlite3": Snippet(
        """
        import sqlite3
        with sqlite3.connect("s.db") as base:
            base.execute("create table t (a)"); base.executemany("insert into t values (?)", [(1,), (2,)])
        assert sqlite3.connect("s.db").execute("select sum(a) from t").fetchone() == (3,)
        wal = sqlite3.connect("wal.db", isolation_level=None)
        assert wal.execute("pragma journal_mode=wal").fetchone() == ("wal",)
        wal.execute("create table t (a)"); wal.execute("insert into t values (1)")
        assert sqlite3.connect("wal.db").execute("select count(*) from t").fetchone() == (1,)
        wal.execute("vacuum")
        """
    ),
    "openpyxl": Snippet(
        """
        import pandas as pd
        pd.DataFrame({"a": [1, 2]}).to_excel("o.xlsx", engine="openpyxl")
        assert pd.read_excel("o.xlsx").a.sum() == 3
        """,
        ("pandas", "openpyxl"),
    ),
    "xlsxwriter": Snippet(
        """
        import xlsxwriter
        with xlsxwriter.Workbook("x.xlsx") as book:
            book.add_worksheet().write("A1", "hello")
        """,
        ("xlsxwriter",),
    ),
}
_PICTURES = {
    "matplotlib inline": Snippet(
        """
        %matplotlib inline
        import matplotlib.pyplot as plt
        figure, axes = plt.subplots(); axes.plot([1, 3, 2]); axes.set_title("Größe, 大小, $x^2$")
        plt.show()
        """,
        ("matplotlib",),
    ),
    "matplotlib files": Snippet(
        """
        import matplotlib.pyplot as plt
        from pathlib import Path
        figure, axes = plt.subplots(); axes.bar(["a", "b"], [1, 2])
        for kind, begins in ("png", b"\\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF"), ("jpg", b"\\xff\\xd8"):
            figure.savefig(f"plot.{kind}")
            assert Path(f"plot.{kind}").read_bytes().startswith(begins)
        plt.close("all")
        """,
        ("matplotlib", "pillow"),
    ),
    "fonts of the system": Snippet(
        """
        from matplotlib import font_manager
        for path in font_manager.findSystemFonts(): open(path, "rb").close()
        """,
        ("matplotlib",),
    ),
    "seaborn": Snippet(
        """
        import pandas as pd, seaborn as sns
        sns.histplot(pd.DataFrame({"v": [1.0, 2, 2, 3]}), x="v").figure.savefig("sns.png")
        """,
        ("seaborn",),
    ),
    "pillow": Snippet(
        """
        from PIL import Image, ImageDraw, ImageFont
        image = Image.new("RGB", (60, 30), "white")
        ImageDraw.Draw(image).text((2, 2), "hi", fill="black", font=ImageFont.load_default(16))
        for name in ("i.png", "i.jpg", "i.webp", "i.gif", "i.tiff"):
            image.save(name)
            assert Image.open(name).size == (60, 30)
        """,
        ("pillow",),
    ),
}
_STANDARD = {
    "zoneinfo": Snippet(
        """
        from datetime import datetime
        from zoneinfo import ZoneInfo, available_timezones
        assert datetime(2026, 7, 1, tzinfo=ZoneInfo("Asia/Tokyo")).utcoffset().seconds == 9 * 3600
        assert len(available_timezones()) > 300
        """
    ),
    "zoneinfo without the system's data": Snippet(
        """
        import zoneinfo
        zoneinfo.reset_tzpath(()); zoneinfo.ZoneInfo.clear_cache()
        assert zoneinfo.ZoneInfo("America/Lima").key in zoneinfo.available_timezones()
        zoneinfo.reset_tzpath()
        """,
        ("tzdata",),
    ),
    "locale": Snippet(
        """
        import locale
        locale.setlocale(locale.LC_ALL, "")
        assert locale.getpreferredencoding() == "UTF-8"
        assert "größe".upper() == "GRÖSSE"
        """
    ),
    "mimetypes": Snippet("import mimetypes\nassert mimetypes.guess_type('a.png')[0] == 'image/png'"),
    "tempfile": Snippet(
        """
        import os, tempfile
        with tempfile.TemporaryDirectory() as folder, tempfile.NamedTemporaryFile(dir=folder) as named:
            named.write(b"x"); named.flush()
            assert os.path.getsize(named.name) == 1
        with tempfile.TemporaryFile() as file, tempfile.SpooledTemporaryFile(4) as spooled:
            file.write(b"y" * 100); spooled.write(b"z" * 100)
            assert file.seek(0) == 0 and file.read() == b"y" * 100
        os.close(tempfile.mkstemp()[0])
        """
    ),
    "shutil": Snippet(
        """
        import os, shutil
        os.makedirs("tree/deep"); open("tree/deep/f", "w").close(); os.chmod("tree/deep/f", 0o600)
        shutil.copytree("tree", "copy"); shutil.copy2("tree/deep/f", "g"); shutil.move("g", "copy/g")
        for kind in ("zip", "gztar", "tar"):
            shutil.unpack_archive(shutil.make_archive("packed", kind, "copy"), f"un-{kind}")
            assert sorted(os.listdir(f"un-{kind}")) == ["deep", "g"]
        shutil.rmtree("tree"); shutil.rmtree("copy")
        assert shutil.disk_usage(".").free > 0 and not os.path.exists("tree")
        """
    ),
    "zipfile and tarfile": Snippet(
        """
        import io, tarfile, zipfile
        with zipfile.ZipFile("z.zip", "w", zipfile.ZIP_DEFLATED) as archive: archive.writestr("a/b.txt", "hi")
        with zipfile.ZipFile("z.zip") as archive:
            archive.extractall("z"); assert archive.testzip() is None
        with tarfile.open("t.tar.xz", "w:xz") as archive: archive.add("z")
        with tarfile.open("t.tar.xz") as archive: archive.extractall("un-tar-xz", filter="data")
        assert open("un-tar-xz/z/a/b.txt").read() == "hi"
        """
    ),
    "pathlib": Snippet(
        """
        from pathlib import Path
        Path("p/q").mkdir(parents=True); Path("p/q/r").write_text("1"); Path("p/q/r").rename("p/s.txt")
        assert [str(path) for path in Path("p").rglob("*.txt")] == ["p/s.txt"]
        Path("p/s.txt").touch(); Path("p/s.txt").unlink(); Path("p/q").rmdir(); assert Path.home().is_dir()
        """
    ),
    "mmap": Snippet(
        """
        import mmap
        with open("m.bin", "w+b") as file:
            file.truncate(8192)
            with mmap.mmap(file.fileno(), 0) as view: view[:2] = b"ok"; view.flush()
            assert file.read(2) == b"ok"
        """
    ),
    "asyncio": Snippet(
        """
        import asyncio
        async def one(n): await asyncio.sleep(0.001); return await asyncio.to_thread(pow, n, 2)
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(n)) for n in range(5)]
        assert [task.result() for task in tasks] == [0, 1, 4, 9, 16]
        assert await asyncio.gather(asyncio.wait_for(one(3), 20), one(4)) == [9, 16]
        def own_loop(): return asyncio.run(one(5))
        assert await asyncio.to_thread(own_loop) == 25
        """
    ),
    "threads": Snippet(
        """
        import queue, threading
        from concurrent.futures import ThreadPoolExecutor
        from multiprocessing.pool import ThreadPool
        with ThreadPoolExecutor(16) as pool: assert sum(pool.map(len, ["ab"] * 100)) == 200
        timer = threading.Timer(0.001, (done := threading.Event()).set); timer.start(); assert done.wait(20)
        """
    ),
    "%timeit": Snippet("%timeit -n 10 -r 2 sum(range(100))\n%time pass"),
    "about the machine": Snippet(
        """
        import csv, ctypes, decimal, getpass, gzip, hashlib, json, logging, lzma, os, pickle, platform
        import secrets, socket, ssl, statistics, sysconfig, unicodedata, uuid, xml.etree.ElementTree
        assert uuid.uuid4() != uuid.uuid1() and hashlib.sha256(b"x").hexdigest() and secrets.token_hex(4)
        assert platform.platform() and platform.python_version() and os.cpu_count() and os.getloadavg()
        assert getpass.getuser() == "sandbox" and os.path.expanduser("~") == os.environ["HOME"]
        assert ssl.create_default_context() and socket.gethostname() and sysconfig.get_paths()
        with gzip.open("x.gz", "wt") as file: file.write("x")
        assert gzip.open("x.gz", "rt").read() == "x"
        """
    ),
    "joblib in threads": Snippet(
        """
        import joblib
        work = [joblib.delayed(pow)(n, 2) for n in range(8)]
        assert joblib.Parallel(n_jobs=2, prefer="threads")(work)[-1] == 49
        assert joblib.Parallel(n_jobs=2, backend="threading")(work)[-1] == 49
        """,
        ("joblib",),
    ),
}
_PROCESSES = "the sandbox starts no processes; threads work, and --allow-fork"
_PROGRAMS = "the sandbox runs no programs"
_NETWORK = "the sandbox has no network"
_REFUSED = {
    "requests": Snippet(
        "import requests\nrequests.get('http://192.0.2.1/', timeout=5)",
        ("requests",),
        ("ConnectionError", _NETWORK),
    ),
    "urllib": Snippet(
        "import urllib.request\nurllib.request.urlopen('http://example.com/', timeout=5)",
        refused=("URLError", _NETWORK),
    ),
    "pandas from the network": Snippet(
        "import pandas as pd\npd.read_csv('https://example.com/a.csv')",
        ("pandas",),
        ("URLError", _NETWORK),
    ),
    "asyncio streams": Snippet(
        "import asyncio\nawait asyncio.open_connection('127.0.0.1', 80)",
        refused=("PermissionError", _NETWORK),
    ),
    "asyncio programs": Snippet(
        "import asyncio\nawait asyncio.create_subprocess_exec('/bin/true')",
        refused=("PermissionError", _PROGRAMS),
    ),
    "subprocess": Snippet(
        "import subprocess\nsubprocess.run(['ls'])", refused=("PermissionError", _PROGRAMS)
    ),
    "os.fork": Snippet("import os\nos.fork()", refused=("PermissionError", _PROCESSES)),
    "multiprocessing": Snippet(
        "import multiprocessing\nmultiprocessing.Pool(2).map(abs, [1])", refused=("Error", _PROCESSES)
    ),
    "process pool": Snippet(
        "from concurrent.futures import ProcessPoolExecutor\nlist(ProcessPoolExecutor(2).map(abs, [1]))",
        refused=("Error", _PROCESSES),
    ),
}
SNIPPETS = {
    name: replace(snippet, code=dedent(snippet.code))
    for group in (_NUMERIC, _TABLES, _PICTURES, _STANDARD, _REFUSED)
    for name, snippet in group.items()
}


def run(cage: str) -> dict[str, Outcome]:
    """All that can be tried, in one kernel of that cage, in turn."""
    setup = setup_with(allow=ALLOWED) if cage == GUARDED else "pass"
    profile = replace(CAGES[cage], limits=SandboxLimits(memory_bytes=MEMORY))
    lab = Lab(Settings(limits=Limits(step_timeout_s=60.0), profile=profile), setup)
    try:
        lab.start()
        return {name: _outcome(lab.run(one.code)) for name, one in SNIPPETS.items() if not one.missing}
    finally:
        lab.close()


def _outcome(cell: Cell) -> Outcome:
    if cell.status == "error":
        return Outcome(cell.status, cell.error.ename, cell.error.evalue)
    return Outcome(cell.status, "", cell.reason)


if __name__ == "__main__":
    json.dump({name: asdict(outcome) for name, outcome in run(sys.argv[1]).items()}, sys.stdout)
