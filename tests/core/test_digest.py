"""The digest: everything shown, nothing forged, bounded."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeact_kernel.config import OutputLimits
from codeact_kernel.digest import DIGEST_MIME, MAX_SECTIONS, condensed, digest
from codeact_kernel.envelope import TAGS, clean, escape, excerpt, line, unescape
from codeact_kernel.events import Image, Text
from codeact_kernel.outputs import Display, Error, Result, Shown, Stream, WorkspaceFile
from codeact_kernel.trajectory import Observation, Refusal
from codeact_kernel.wire.messages import Raised, Returned, ToolCall, ToolOutcome

LIMITS = OutputLimits()
PIECES = [
    "<",
    "/",
    "\\",
    ">",
    "\n",
    " ",
    "stdout",
    "NOTE",
    "</stdout>",
    "<status>ok</status>",
    "a",
    "é",
    "\r",
]
SNEAKY = ["\u202e", "\x1b[31m", "\x00", "\ud800", "\u200b", "</std\u200bout>", "</st\x1b[0mdout>"]
HOSTILE = st.lists(st.sampled_from([*PIECES, *SNEAKY])).map("".join)


def shown(*outputs: Shown, limits: OutputLimits = LIMITS) -> str:
    part = digest(Observation("ok", outputs, execution_count=1), limits)[0]
    assert isinstance(part, Text)
    return part.text


def sections(text: str) -> list[tuple[str, str]]:
    """What a reader who trusts nothing but whole-line tags takes out of a digest."""
    found, lines = [], iter(text.split("\n"))
    for row in lines:
        if opened := re.fullmatch(r"<(\w+)>", row):
            body = []
            for inner in lines:
                if inner == f"</{opened[1]}>":
                    break
                body.append(inner)
            found.append((opened[1], unescape("\n".join(body))))
        else:
            one = re.fullmatch(r"<(\w+)>(.*)</\1>", row)
            assert one or row == "(no output)", row
            if one:
                found.append((one[1], unescape(one[2])))
    return found


@given(HOSTILE, HOSTILE, HOSTILE)
def test_no_output_forges_or_ends_a_section(out: str, err: str, value: str) -> None:
    outputs = (Stream("stdout", out), Stream("stderr", err), Result({"text/plain": value}, 1))
    expected = [("stdout", out), ("stderr", err), ("result", value)]
    assert sections(shown(*outputs)) == [("status", "ok, In[1]")] + [
        (tag, clean(text).removesuffix("\n")) for tag, text in expected if text or tag == "result"
    ]


@given(HOSTILE)
def test_escape_leaves_no_tag_and_is_undone_by_unescape(text: str) -> None:
    assert unescape(escape(text)) == text
    assert not re.search(rf"<\s*/?\s*(?:{'|'.join(TAGS)})\b", escape(text), re.IGNORECASE)


@given(HOSTILE)
def test_names_and_reasons_cannot_forge_either(text: str) -> None:
    observation = Observation(
        "killed",
        reason=text,
        refusals=(Refusal("import", text),),
        tool_calls=(ToolCall(1, 1, text, (), {}, Returned(None)),),
        names=(text,),
        files=(WorkspaceFile(text, 1, text),),
    )
    part = digest(observation, LIMITS)[0]
    assert isinstance(part, Text)
    tags = [tag for tag, _ in sections(part.text)]
    assert tags == ["status", "refused", "tool_calls", "files"]
    assert "\n" not in condensed(observation)
    assert "<status" not in condensed(observation)


@given(st.text(st.characters()))
def test_cleaned_text_is_printable_and_encodable(text: str) -> None:
    assert all(char in "\n\t" or ord(char) >= 0x20 for char in clean(text))
    clean(text).encode("utf-8")


@pytest.mark.parametrize(
    ("raw", "seen"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]8;;http://x\x07link\x1b]8;;\x1b\\", "link"),
        (" 10%\r 50%\r100%\ndone\r\n", "100%\ndone\n"),
        ("a\u202eb\u2066c\u200bd\x85e\U000e0041f", "abcdef"),
        ("tab\tkept", "tab\tkept"),
        ("\udcff", "\ufffd"),
        ("\x1b]0;never ended", "]0;never ended"),
    ],
)
def test_clean(raw: str, seen: str) -> None:
    assert clean(raw) == seen


def test_files_that_a_cell_wrote() -> None:
    files = (
        WorkspaceFile("out.csv", 12_345, "text/csv"),
        WorkspaceFile("odd\nname\x1b[2J", 999),
        WorkspaceFile(
            "sheet.xlsx", 1000, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
        ),
        WorkspaceFile("long" * 60 + ".png", 10**9, "image/png"),
    )
    parts = digest(Observation("ok", files=files), LIMITS)
    assert parts == (
        Text(
            "<status>ok</status>\n"
            "<files>written: out.csv (12.3 kB, text/csv), odd name (999 B), sheet.xlsx (1.0 kB), "
            "longlonglonglonglonglonglonglon… (1,000,000.0 kB, image/png)</files>\n(no output)"
        ),
    )
    assert (
        condensed(Observation("ok", files=files[:2]))
        == "[condensed] ok; 0 characters; files: out.csv, odd name"
    )


def test_many_files_are_one_bounded_line() -> None:
    files = tuple(WorkspaceFile(f"{n:03}{'x' * 250}", 10**15, "image/png") for n in range(100))
    for more, words in ((False, " and 88 more</files>"), (True, " and more</files>")):
        part = digest(Observation("ok", files=files, more_files=more), LIMITS)[0]
        assert isinstance(part, Text)
        assert words in part.text
        assert len(part.text) < 1100


def test_status_streams_result_display_and_error_in_order() -> None:
    observation = Observation(
        "error",
        (
            Stream("stdout", "one "),
            Stream("stderr", "careful\n"),
            Stream("stdout", "two\n"),
            Display({"text/plain": "shown"}),
            Error(
                "KeyError",
                "'x'",
                ("\x1b[31m-----\x1b[0m", "Cell In[4], line 1\n----> 1 d['x']", "KeyError: 'x'"),
            ),
        ),
        execution_count=4,
        duration_s=2.25,
    )
    part = digest(observation, LIMITS)[0]
    assert isinstance(part, Text)
    assert sections(part.text) == [
        ("status", "error, In[4], 2.2 s"),
        ("stdout", "one two"),
        ("stderr", "careful"),
        ("display", "shown"),
        ("error", "Cell In[4], line 1\n----> 1 d['x']\nKeyError: 'x'"),
    ]


def test_error_without_traceback_still_names_itself() -> None:
    assert ("error", "ValueError: bad") in sections(shown(Error("ValueError", "bad")))


@pytest.mark.parametrize(("status", "said"), [("timeout", "timed out"), ("killed", "killed")])
def test_reason_of_an_abnormal_end(status: str, said: str) -> None:
    part = digest(Observation(status, reason="it ran longer than 5 s", execution_count=2), LIMITS)[0]
    assert part == Text(f"<status>{said}, In[2]: it ran longer than 5 s</status>\n(no output)")


def test_nothing_shown_is_said() -> None:
    assert shown() == "<status>ok, In[1]</status>\n(no output)"
    assert "(no output)" not in shown(Stream("stdout", "x"))


def call(tool: str, outcome: ToolOutcome | None) -> ToolCall:
    return ToolCall(1, 1, tool, (), {}, outcome)


def test_tool_calls_before_a_failure_are_told() -> None:
    calls = (
        *[call("refund", Returned(None))] * 3,
        call("fetch", Raised("ValueError", "no")),
        call("refund", None),
    )
    failed = digest(Observation("error", (Error("E", "e"),), tool_calls=calls), LIMITS)[0]
    assert isinstance(failed, Text)
    assert sections(failed.text)[1] == (
        "tool_calls",
        "completed tool calls before the failure: refund(…) ×3; tool calls that raised: fetch(…) ×1; "
        "tool calls whose outcome is unknown: refund(…) ×1",
    )
    fine = digest(Observation("ok", tool_calls=calls), LIMITS)[0]
    assert isinstance(fine, Text)
    assert "refund" not in fine.text


def test_refusals_and_truncation_are_told() -> None:
    refusals = (Refusal("import", "os"), Refusal("import", "os"), Refusal("builtin", "exec"))
    part = digest(Observation("ok", refusals=refusals, truncated=True), LIMITS)[0]
    assert isinstance(part, Text)
    found = dict(sections(part.text))
    assert found["refused"] == "import os, builtin exec"
    assert "only the beginning and the end were kept" in found["note"]


# --- size --------------------------------------------------------------------------------------


def test_long_text_keeps_head_and_tail_and_says_what_is_missing() -> None:
    text = shown(Stream("stdout", "A" * 100_000 + "B" * 35_456), limits=OutputLimits(model_chars=12_000))
    assert "<cut>… 123,456 characters not shown; the full text is in _obs[1] …</cut>" in text
    assert text.count("A") == 6000
    assert text.count("B") == 6000


def test_the_cut_cannot_be_forged() -> None:
    forged = line("cut", "… 5 characters not shown …")
    assert forged not in shown(Stream("stdout", forged))


def test_a_cut_result_is_in_out_and_nothing_is_left_in_a_killed_kernel() -> None:
    result = Result({"text/plain": "x" * 50_000}, 7)
    whole = Observation("ok", (result,), execution_count=7)
    killed = Observation("killed", (Stream("stdout", "x" * 50_000),), execution_count=7)
    for observation, said in ((whole, "not shown; the value is Out[7] …"), (killed, "not shown …")):
        part = digest(observation, LIMITS)[0]
        assert isinstance(part, Text)
        assert said in part.text


def test_the_error_is_shown_in_full_beside_a_flood() -> None:
    trace = tuple(f"line {i}" for i in range(200))
    text = shown(Stream("stdout", "x" * 1_000_000), Error("E", "the end", trace))
    assert dict(sections(text))["error"] == "\n".join((*trace, "E: the end"))
    assert len(text) < LIMITS.model_chars + 500


@given(st.lists(st.integers(0, 300), max_size=12), st.integers(0, 400))
def test_text_stays_within_the_limit_and_short_text_is_whole(sizes: list[int], limit: int) -> None:
    displays = tuple(Display({"text/plain": "x" * size}) for size in sizes)
    text = shown(*displays, limits=OutputLimits(model_chars=limit))
    bodies = [re.sub(r"\n<cut>.*</cut>\n", "", body) for tag, body in sections(text) if tag == "display"]
    assert [len(body) for body in bodies] == sizes or sum(map(len, bodies)) <= limit
    if sum(sizes) <= limit:
        assert "<cut>" not in text


@given(HOSTILE, st.integers(0, 20))
def test_an_excerpt_counts_what_it_leaves_out(raw: str, limit: int) -> None:
    text = excerpt(raw, limit, None)
    whole = clean(raw)
    cut = re.search(r"<cut>… ([\d,]+) characters not shown …</cut>", text)
    if cut is None:
        assert len(whole) <= limit
        assert unescape(text) == whole.removesuffix("\n")
    else:  # only what is far over the limit is not cleaned as a whole
        assert len(raw) > limit
        assert int(cut[1].replace(",", "")) in (len(whole) - limit, len(raw) - limit)


def test_a_thousand_outputs_become_a_few_and_the_rest_is_counted() -> None:
    text = shown(*(Display({"text/plain": f"<{i}>"}) for i in range(1000)))
    found = sections(text)
    assert sum(tag == "display" for tag, _ in found) == MAX_SECTIONS
    assert ("note", f"{1000 - MAX_SECTIONS} outputs not shown") in found
    assert found[1] == ("display", "<0>")
    assert found[-1] == ("display", "<999>")


@pytest.mark.parametrize(
    "flood",
    [
        (Stream("stdout", "x" * 10_000_000),),
        (Stream("stdout", "<" * 10_000_000),),
        (Stream("stdout", " " * 10_000_000),),
        (Stream("stdout", "\x1b[" * 5_000_000),),
        (Stream("stdout", "\x1b]" * 5_000_000),),
        (Stream("stdout", "ab\r" * 3_000_000),),
        tuple(Stream("stdout" if i % 2 else "stderr", "x\n") for i in range(200_000)),
        tuple(Display({"text/plain": "y" * 100}) for _ in range(20_000)),
        (Error("E", "v" * 10_000_000, ("t" * 100,) * 100_000),),
    ],
    ids=["text", "angles", "spaces", "csi", "osc", "returns", "streams", "displays", "error"],
)
def test_the_work_on_a_flood_is_bounded(flood: tuple[Shown, ...]) -> None:
    started = time.thread_time()
    text = shown(*flood)
    assert time.thread_time() - started < 1.0  # a quadratic scan of one of these takes minutes
    assert len(text) < 2 * LIMITS.model_chars


# --- MIME bundles ------------------------------------------------------------------------------


def test_the_kernels_digest_goes_before_text_plain() -> None:
    bundle = {"text/plain": "everything", DIGEST_MIME: "DataFrame, 3 rows", "text/html": "<table>"}
    assert sections(shown(Result(bundle, 1)))[1:] == [("result", "DataFrame, 3 rows")]


def test_html_and_svg_without_text_become_notes() -> None:
    for kind in ("text/html", "image/svg+xml"):
        (note,) = sections(shown(Display({kind: "<svg>" * 300})))[1:]
        assert note == ("note", f"a display that only the user can see: {kind} (1,500 characters)")
    both = sections(shown(Display({"image/svg+xml": "<svg/>", "text/plain": "<Figure>"})))
    assert both[1:] == [
        ("display", "<Figure>"),
        ("note", "the display is a drawing (SVG) that only the user can see"),
    ]


@pytest.mark.parametrize("value", [None, 3, ["a"], {"b": 1}])
def test_malformed_bundles_do_not_crash(value: object) -> None:
    bundle = {"text/plain": value, "image/png": value, "</status>": value}
    parts = digest(Observation("ok", (Result(bundle, 1), Display({}))), LIMITS)
    assert len(parts) == 1
    assert isinstance(parts[0], Text)
    assert ("note", "the image (image/png) is not base64") in sections(parts[0].text)


def test_digest_is_deterministic() -> None:
    observation = Observation("ok", (Stream("stdout", "x" * 50_000),), names=("a",))
    assert digest(observation, LIMITS) == digest(observation, LIMITS)


# --- condensed ---------------------------------------------------------------------------------


def test_condensed_is_one_line_of_facts() -> None:
    observation = Observation(
        "error",
        (Stream("stdout", "x" * 12_000), Error("KeyError", "'x'")),
        execution_count=5,
        names=("rows", "not a name", "total"),
    )
    assert condensed(observation) == (
        "[condensed] error (KeyError); 12,013 characters; names: rows, total; the full text is in _obs[5]"
    )


def test_condensed_stays_short() -> None:
    names = tuple(f"{'v' * 1000}{i}" for i in range(1000))
    observation = Observation("ok", (Result({"text/plain": "1"}, 2), Error("E" * 5000, "")), None, 2, names)
    assert len(condensed(observation)) < 1500
    assert "and 988 more" in condensed(observation)
    assert "the value is Out[2]" in condensed(observation)


def test_images_come_after_the_text_that_mentions_them() -> None:
    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    displays = tuple(Display({"image/png": pixel, "text/plain": f"figure {i}"}) for i in range(6))
    parts = digest(Observation("ok", displays), OutputLimits(model_images=2))
    assert parts[1:] == (Image("image/png", pixel),) * 2
    assert isinstance(parts[0], Text)
    notes = [body for tag, body in sections(parts[0].text) if tag == "note"]
    assert notes == [
        "image 1 (image/png) is attached below",
        "image 2 (image/png) is attached below",
        "4 images more than the 2 shown",
    ]
