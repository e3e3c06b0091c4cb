"""The page of `show --html`: whatever a run holds, it is shown, and nothing of it is active."""

from __future__ import annotations

import base64
import json
import re
import time
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from codeact_kernel.frontends.highlighting import MAX_CODE, code_html
from codeact_kernel.frontends.html_outputs import CSP, MAX_PICTURE, frame, outputs
from codeact_kernel.frontends.html_page import page
from codeact_kernel.frontends.html_text import MAX_TEXT, Room, json_text
from codeact_kernel.frontends.html_timeline import row_of, timeline
from codeact_kernel.outputs import Display, Error, Result, Shown, Stream, WorkspaceFile
from codeact_kernel.trajectory import (
    Action,
    Observation,
    Parent,
    Refusal,
    Reply,
    RunInfo,
    Step,
    Stop,
    Trajectory,
    Turn,
    Usage,
    Verdict,
)
from codeact_kernel.wire.messages import Json, Raised, Returned, ToolCall

PNG = base64.b64encode(
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\2\0\0\0\x90wS\xde\0\0\0\x0cIDATx\x9cc\xf8\xcf\xc0\0\0\3\1"
    b"\1\0\xc9\xfe\x92\xef\0\0\0\0IEND\xaeB`\x82"
).decode()
HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg/onload=alert(1)>',
    "' onmouseover='alert(1)",
    "</pre></iframe></title></style></textarea><script src=//evil.example/x.js></script>",
    '<meta http-equiv="refresh" content="0;url=http://evil.example/">',
    "<a href='javascript:alert(1)'>here</a>",
    "<link rel=preconnect href=//evil.example><base href=//evil.example>",
    "<style>body{background:url(http://evil.example/x)}</style>",
    '&quot;&#x3c;script&#x3e;"><form action=//evil.example><input type=submit>',
    "<scr<!-- -->ipt>alert(1)</scr<!-- -->ipt><\0script>alert(1)</script>",
    "\x1b]8;;http://evil.example\x07click\x1b]8;;\x07 \u202ereversed \ud800",
)
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(1)</script><circle r="9"/></svg>'
)
SHOWING_ATTRIBUTES = {"class", "id", "height", "alt", "title", "role", "aria-labelledby"}


class Walk(HTMLParser):
    """Every element of a page as (name, attributes)."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.elements.append((tag, dict(attrs)))


def hostile_run(text: str) -> Trajectory:
    """`text` in every field that can hold one."""
    value: Json = {text: [text]}
    calls = (
        ToolCall(1, 1, text, (text, value), {text: value}, Returned(value), 0.1, text),
        ToolCall(1, 2, "t", (), {}, Raised(text, text)),
        ToolCall(1, 3, "final_answer", (text,), {}, Raised(text, text)),
    )
    kinds = ("text/plain", "text/html", "text/markdown", "text/latex", "image/png", "image/svg+xml", text)
    kinds += ("application/json", "application/vnd.x+json", "application/javascript")
    bundle = {kind: value if kind.endswith("json") else text for kind in kinds}
    shown: tuple[Shown, ...] = (
        Stream("stdout", text),
        Stream("stderr", text),
        Display({**bundle, "application/vnd.codeact.digest": text}, {text: text}, text),
        Result(bundle, 3),
        Error(text, text, (text,)),
        Error(text, text),
    )
    seen = Observation(
        "error",
        shown,
        text,
        3,
        (text,),
        calls,
        (Refusal("import", text),),
        1.0,
        True,
        (WorkspaceFile(text, 3, text),),
    )
    step = Step(1, Reply(text, text, problem=text, duration_s=1), Action(text), seen, (text,), text)
    silent = Step(2, Reply(text, problem=text), None, Observation("error"))
    info = RunInfo(
        *(text, text, text, text),
        {text: text},
        {text: text},
        {text: text},
        {"tier": text, "selftest": {text: text}},
    )
    info = replace(info, parent=Parent(text, 3, text, text))
    turns = (
        Turn(text, (step, silent), Stop("answer", text, value, Reply(text)), (text,)),
        Turn(text, (), Stop("answer", answer=text)),
        Turn(text, (), Stop("model_error", text)),
        Turn(text),
    )
    return Trajectory(info, turns, Verdict("unverified", (), text, (text,)))


def whole(run: Trajectory, name: str = "run.ipynb", redacted: tuple[str, ...] = ()) -> str:
    return "".join(page(run, name, redacted))


def page_of(*shown: Shown, **more: object) -> str:
    reply = Reply("A thought.", "1", usage=Usage(10, 5), cost_usd=0.25, duration_s=2)
    seen = replace(Observation("ok", shown, duration_s=1.0), **more)  # type: ignore[arg-type]  # a test's shorthand
    step = Step(1, reply, Action("x = 1"), seen)
    return whole(
        Trajectory(RunInfo("r", "m", "", ""), (Turn("a task", (step,), Stop("answer", answer="42")),))
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_of_a_run_is_active(text: str) -> None:
    made = whole(hostile_run(text), text, (text,))
    made.encode("utf-8")
    assert "\0" not in made
    assert "\x1b" not in made
    assert "\u202e" not in made
    walk = Walk(made)
    frames = [attrs for tag, attrs in walk.elements if tag == "iframe"]
    assert len(frames) == 2
    metas = [attrs for tag, attrs in walk.elements if tag == "meta"]
    assert metas[1] == {"http-equiv": "Content-Security-Policy", "content": f"{CSP}; frame-src 'none'"}
    assert len(metas) == 4
    allowed = {
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "main",
        "header",
        "footer",
        "section",
        "article",
    }
    allowed |= {
        "h1",
        "h2",
        "h3",
        "dl",
        "dt",
        "dd",
        "div",
        "span",
        "p",
        "pre",
        "details",
        "summary",
        "iframe",
        "img",
    }
    allowed |= {"ul", "li", "a", "table", "thead", "tbody", "tr", "th", "td"}
    drawn = {"svg", "desc", "rect", "text", "line"}
    for tag, attrs in walk.elements:
        assert tag in allowed | drawn
        for name, value in attrs.items():
            if tag in drawn | {"meta", "html"}:
                assert not name.startswith("on")
            elif name == "href":
                assert re.fullmatch(r"#(tape|step-\d+|end-\d+)", value or "")
            elif name == "src":
                assert re.fullmatch(r"data:image/(png|svg\+xml);base64,[A-Za-z0-9+/]*=*", value or "")
            elif name not in ("sandbox", "srcdoc"):
                assert name in SHOWING_ATTRIBUTES
    for attrs in frames:
        check_frame(attrs)


def check_frame(attrs: dict[str, str | None]) -> None:
    """No right, a policy before anything of the run, and only elements that show."""
    assert attrs["sandbox"] is None
    inner = attrs["srcdoc"] or ""
    policy = f'<meta http-equiv="Content-Security-Policy" content="{CSP}">'
    assert inner.startswith(f'<!doctype html><meta charset="utf-8">{policy}<style>')
    found = [tag for tag, _ in Walk(inner).elements]
    assert found[:3] == ["meta", "meta", "style"]
    assert not {"script", "meta", "link", "base", "a", "form", "input", "iframe", "object"} & set(found[3:])
    # Whatever a parser makes of it: these are not opened anywhere.
    assert not re.search(r"<(script|link|base|a|form|input|iframe)\b", inner, re.IGNORECASE)


@pytest.mark.parametrize("text", HOSTILE[:3])
def test_every_field_is_shown(text: str) -> None:
    """Escaping is shown to be tested: without it, each of these would be in the page raw."""
    made = whole(hostile_run("MARKER"), "MARKER", ("MARKER",))
    assert made.count("MARKER") > 60
    assert text not in whole(hostile_run(text))


def test_what_a_page_has() -> None:
    calls = (
        ToolCall(1, 1, "refund", (7,), {}, Returned({"ok": True}), 0.25, "ada"),
        ToolCall(1, 2, "refund", (8,), {"note": "it's | late"}, Raised("ValueError", "no such order"), 0.5),
        ToolCall(1, 3, "refund", (9,), {}, None),
    )
    shown = (
        Stream("stdout", "10 %\r90 %\r\x1b[1mdone\x1b[0m\n"),
        Display({"image/png": PNG, "text/plain": "<Figure>"}),
        Result({"text/plain": "42", "application/vnd.codeact.digest": "int 42"}, 2),
    )
    files = (WorkspaceFile("out.csv", 12_000, "text/csv"),)
    seen = Observation("ok", shown, tool_calls=calls, duration_s=1.5, files=files, more_files=True)
    steps = (
        Step(1, Reply("First, the orders.", "x", cost_usd=0.25, duration_s=2), Action("x"), seen),
        Step(2, Reply("", "y", cost_usd=0.25), Action("y"), Observation("killed", reason="it died")),
        Step(3, Reply("", problem="cut off", cost_usd=0.25), None, Observation("error"), ("3 steps left",)),
    )
    turns = (
        Turn("refund every order\n# over 100 EUR", steps, Stop("answer", answer={"refunded": 1})),
        Turn("and now?", (), Stop("max_steps", "30 steps"), ("a person edited step 1",)),
        Turn("again"),
    )
    info = RunInfo("r1", "scripted", "2026-11-22", "", parent=Parent("r0", 3, "", "base.ipynb"))
    run = Trajectory(info, turns, Verdict("drift", ("output",), remarks=("The clock was read in step 1.",)))
    made = whole(run, redacted=("API_KEY",))
    text = " ".join(re.sub(r"<style>.*?</style>|<[^>]+>", " ", made).split())
    for part in (
        "refund every order # over 100 EUR",
        "Forked from base.ipynb (run r0) after step 3",
        "Verified no, drift: output",
        "The clock was read in step 1.",
        "Masked in the record API_KEY",
        "3 steps · no tokens · 3.5 s",
        "Step 1 ✓ ok model 2.0 s · cell 1.5 s, 750 ms of it in tools",
        "refund(7) = {&#x27;ok&#x27;: True} 250 ms approved by ada",
        "done",
        "Out[2] 42 what the model saw int 42",
        "out.csv (12 kB, text/csv) and more",
        "✗ killed y it died",
        "the reply could not be used: cut off note: 3 steps left",
        "Answer { &quot;refunded&quot;: 1 }",
        "note: a person edited step 1",
        "Stopped: max steps 30 steps",
        "The run was cut off here",
        "Tape: 3 recorded tool calls",
        "&quot;note&quot;: &quot;it&#x27;s | late&quot;",
        "nobody was asked",
        "In doubt",
    ):
        assert part in text
    assert "90 %" not in text
    assert f"data:image/png;base64,{PNG}" in made


def test_an_svg_is_a_picture() -> None:
    made = page_of(Display({"image/svg+xml": SVG}))
    (found,) = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', made)
    drawn = base64.b64decode(found).decode()
    assert '<circle r="9">' in drawn
    assert not re.search("script|onload|alert", drawn)
    assert "<circle" not in made
    assert "no well-formed picture" in page_of(Display({"image/svg+xml": "<svg><g></svg>"}))


def test_html_keeps_what_shows() -> None:
    table = (
        '<table border="1" class="dataframe"><tr><th>a</th></tr><tr><td style="color:red">1</td></tr></table>'
    )
    made = page_of(Display({"text/html": table}))
    assert "&lt;td style=&quot;color: red&quot;&gt;1&lt;/td&gt;" in made
    assert 'srcdoc="&lt;!doctype' in frame(table)
    assert "scripts are left out" in page_of(Display({"text/html": "<div></div><SCRIPT>plot()</SCRIPT>"}))
    assert "scripts are left out" not in page_of(Display({"text/html": table}))


@pytest.mark.parametrize("code", ["match" + " " * 49_000, "x = 1\n" * 20_000, "\t" * 60_000, "a." * 24_000])
def test_highlighting_takes_little_time(code: str) -> None:
    start = time.thread_time()
    code_html(code)
    assert time.thread_time() - start < 5


def test_code_is_highlighted() -> None:
    assert code_html("for x in y: pass").startswith('<span class="k">for</span>')
    assert code_html("%time x < 1") == code_html("%time x < 1").replace('class="err"', "")
    assert "<span" not in code_html("x = 1\n" * MAX_CODE)


def test_of_a_long_text_beginning_and_end_are_shown() -> None:
    made = page_of(Stream("stdout", "first\n" + "line\n" * 1_000_000 + "last\n"))
    assert len(made) < 1.2 * MAX_TEXT
    assert "first\n" in made
    assert "\nlast</pre>" in made
    assert "4,800,011 characters left out" in made


def test_a_page_has_an_end() -> None:
    """However many outputs a notebook has."""
    many = [
        Stream("stdout", '"' * MAX_TEXT),
        Display({"text/html": "<b>" * 300_000}),
        Display({"image/png": "AAAA" * 2_000_000}),
    ]
    room = Room(text=4_000_000, pictures=20_000_000)
    size = sum(len(part) for part in outputs(many * 25, room))
    assert size < 60_000_000
    assert (room.text, room.pictures > 0) == (0, True)
    made = "".join(
        outputs([Display({"image/png": "A" * (MAX_PICTURE + 1)}), Display({"image/png": "ä"})], Room())
    )
    assert "9.0 MB, is too large" in made
    assert "no base64" in made


def test_a_page_has_an_end_whatever_there_is_many_of() -> None:
    """What is small costs its tags."""
    shown = (Stream("stdout", "x"),) * 100_000
    seen = Observation("ok", shown, refusals=(Refusal("import", "os"),) * 10_000)
    steps = (
        Step(1, Reply(), None, seen),
        *(Step(n, Reply(), None, Observation("ok")) for n in range(2, 9_001)),
    )
    info = RunInfo("r", "m", "", "")
    made = whole(Trajectory(info, (Turn("t", steps, None, ("note",) * 10_000), *(Turn("t"),) * 5_000)))
    assert "80,000 more outputs" in made
    assert "4,000 more steps" in made
    assert "4,001 more tasks" in made
    assert made.count("and 9,950 more") == 2
    assert len(made) < 3_000_000


def test_json_is_bounded_and_never_fails() -> None:
    deep: Json = []
    for _ in range(100_000):
        deep = [deep]
    start = time.thread_time()
    assert "too deep" in json_text(deep) or "cut here" in json_text(deep)
    assert len(json_text(list(range(10_000_000)), 1000)) < 1100
    assert time.thread_time() - start < 3
    assert json.loads(json_text({"a": [1, "é"]})) == {"a": [1, "é"]}
    assert json_text(float("nan")) == "NaN"


def timed(index: int, model: float, cell: float, *calls: float) -> Step:
    made = tuple(ToolCall(index, n, "t", (), {}, Returned(None), took) for n, took in enumerate(calls, 1))
    return Step(
        index,
        Reply("", "1", duration_s=model),
        Action("1"),
        Observation("ok", tool_calls=made, duration_s=cell),
    )


def test_timeline() -> None:
    steps = (timed(1, 2.0, 1.0, 0.25, 0.25), timed(2, 0.0, 1.0, 5.0), timed(3, 1.0, 0.0))
    turns = (Turn("t", steps, Stop("answer", answer="x", reply=Reply("x", duration_s=5.0))),)
    drawn = timeline(Trajectory(RunInfo("r", "m", "", ""), turns))
    walk = Walk(drawn)
    bars = [
        (attrs["class"], float(attrs["x"] or 0), float(attrs["width"] or 0))
        for tag, attrs in walk.elements
        if tag == "rect" and attrs["y"] != "4"
    ]
    # 680 units are 10 s; a row begins where the one before it ended, and calls that overlap fill the cell.
    assert bars == [
        ("model", 84.0, 136.0),
        ("cell", 220.0, 34.0),
        ("tools", 254.0, 34.0),
        ("tools", 288.0, 68.0),
        ("model", 356.0, 68.0),
        ("model", 424.0, 340.0),
    ]
    assert 'role="img"' in drawn
    assert '<title id="timeline-title">Where the 10.0 s of this run went</title>' in drawn
    assert "Step 1: model 2.0 s · cell 1.0 s, 500 ms of it in tools; Step 2: cell 1.0 s, 1.0 s of it" in drawn
    assert '<a href="#end-1">' in drawn


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -1.0, 1e18])
def test_times_that_no_clock_says(wrong: float) -> None:
    assert row_of(timed(1, wrong, wrong, wrong)).total == 0
    run = Trajectory(
        RunInfo("r", "m", "", ""), (Turn("t", (timed(1, wrong, 1.0, wrong), timed(2, 1, 1, 1))),)
    )
    assert "nan" not in timeline(run)
    assert timeline(Trajectory(RunInfo("r", "m", "", ""))) == ""


def test_many_steps_in_one_picture() -> None:
    turns = (Turn("t", tuple(timed(n, 1, 1) for n in range(1, 1001))),)
    drawn = timeline(Trajectory(RunInfo("r", "m", "", ""), turns))
    assert "800 more rows (26 min 40 s) not drawn" in drawn
    assert drawn.count("<a ") == 200
