"""What is said of speed comes from results.json alone, and says truly what is met."""

from __future__ import annotations

from pathlib import Path

import pytest
import saved
from drawing import draw
from measure import Figure, Missing, Ratio, Row, from_json, ratio_of, tables, to_json
from run import BOXES, rows_of

PAIRS = [(1.0, 10.0), (1.1, 10.0), (1.2, 10.0)]
ROWS: list[Row] = [
    ratio_of("start", PAIRS, 0.1, group="Start", tier="A"),
    Figure("calls", 6000, "calls/s", 5000, "at least", group="Start"),
    Missing("peer", "no | network\nhere", group="Start"),
]


@pytest.fixture(scope="module")
def parts() -> dict[str, saved.Part]:
    return saved.load()


def test_readme_says_what_was_measured(parts: dict[str, saved.Part]) -> None:
    """Else: python benchmarks/saved.py"""
    readme = saved.README.read_text()
    assert saved.written(readme, parts) == readme


def test_readme_says_what_servers_cost_as_it_was_measured(parts: dict[str, saved.Part]) -> None:
    """Where it says it in sentences: rounded, where it says so by its zeros."""
    found = {row.name: row.value for row in parts["codeapi"].rows if isinstance(row, Figure)}
    copied, one = "copy files and count, N = 20", "one call, only its server loaded, N = 1"
    said = [
        f"are {found['names of servers and tools']:,.0f} tokens of the prompt",
        f"{found['names, and how to learn more']:,.0f} with what is said of them",
        f"definitions are {round(found['all definitions, as an API takes them'], -2):,.0f}.",
        f"reads {round(found[f'{copied}, code: read'], -2):,.0f} tokens as code",
        f"{round(found[f'{copied}, JSON, parallel: read'], -3):,.0f} as parallel JSON calls",
        f"{round(found[f'{copied}, JSON, one call: read'], -3):,.0f} one by one",
        "({:,.0f} against {:,.0f})".format(
            *(round(found[f"{one}, {way}: read"], -2) for way in ("JSON, one call", "code"))
        ),
    ]
    readme = " ".join(saved.README.read_text().split())
    assert [each for each in said if each not in readme] == []


def test_tables_say_what_was_measured(parts: dict[str, saved.Part]) -> None:
    """Else: python benchmarks/saved.py"""
    assert saved.TABLES.read_text() == saved.report(parts)


def test_every_part_is_explained() -> None:
    explained = (saved.FOLDER / "README.md").read_text()
    there = [name for name in BOXES if (saved.FOLDER / f"{name}.py").exists()]
    assert there
    assert [name for name in there if f"`{name}.py`" not in explained] == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_rows_survive_being_saved(row: Row) -> None:
    assert from_json(to_json(row)) == row


def test_a_ratio_is_held_against_its_bound() -> None:
    ratio = ratio_of("start", PAIRS, 0.115)
    assert ratio.ratio == pytest.approx(0.11)
    assert ratio.upper == pytest.approx(0.12)
    assert ratio.verdict == "missed: 0.96 of the target"
    assert ratio_of("start", PAIRS, 0.12).verdict == "met"


@pytest.mark.parametrize(
    ("value", "direction", "verdict"),
    [
        (50, "at most", "met"),
        (200, "at most", "missed: 0.50 of the target"),
        (200, "at least", "met"),
        (50, "at least", "missed: 0.50 of the target"),
        (0, "at least", "missed: 0.00 of the target"),
    ],
)
def test_a_figure_is_held_against_its_target(value: float, direction: str, verdict: str) -> None:
    assert Figure("f", value, "MB", 100, direction).verdict == verdict  # type: ignore[arg-type]  # one of its literals


def test_tables_show_every_row_once() -> None:
    text = tables(ROWS)
    for row in ROWS:
        assert text.count(row.row()) == 1
    assert text.count("## Start") == 1
    assert "no / network here" in text


def test_readme_without_a_place_is_refused() -> None:
    with pytest.raises(ValueError, match="bench:begin"):
        saved.written("# A readme\n", {})


def test_plot_is_the_same_for_the_same_figures(tmp_path: Path) -> None:
    rows = [Ratio("fork, x", 0.1, 1.0, 0.1, 0.1, 0.1, 9, tier="A")]
    part = saved.Part("launch", "2026-11-28 12:00 UTC", 0.1, 1.0, saved.here(), tuple(rows))
    pictures = []
    for folder in (tmp_path / "1", tmp_path / "2"):
        draw({"launch": part}, folder)
        pictures.append((folder / "start.svg").read_bytes())
    assert pictures[0] == pictures[1]


def test_a_part_that_fails_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken.py").write_text("raise RuntimeError('no such luck')")
    monkeypatch.setattr("run.FOLDER", tmp_path)
    monkeypatch.setitem(BOXES, "broken", 60)
    assert rows_of("broken", quick=True) == [Missing("broken", "exit status 1: RuntimeError: no such luck")]


def test_a_part_that_hangs_is_stopped_and_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hung.py").write_text("import threading; threading.Event().wait()")
    monkeypatch.setattr("run.FOLDER", tmp_path)
    monkeypatch.setitem(BOXES, "hung", 1)
    monkeypatch.setattr("os.getloadavg", lambda: (0.0, 0.0, 0.0))
    assert rows_of("hung", quick=True) == [Missing("hung", "stopped: it took longer than 1 s")]
