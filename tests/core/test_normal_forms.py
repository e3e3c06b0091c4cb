"""What a re-run cannot make equal is taken out of texts, and nothing else."""

from __future__ import annotations

import io
import time

import pytest
from matplotlib.figure import Figure

from codeact_kernel.inert.svg import inert_svg
from codeact_kernel.normal_forms import normalise, plain_html, plain_svg, unordered

SETS = {"b", "a", "it's", 'say "x"', "c, d", "{", ":"}


def test_the_text_of_a_set_is_the_same_in_any_order() -> None:
    texts = {"{" + ", ".join(map(repr, order)) + "}" for order in (sorted(SETS), sorted(SETS, key=len))}
    assert len(texts) == 2
    assert len({unordered(text) for text in texts}) == 1


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("{'b', 'a'}", "{'a', 'b'}"),
        ("found {2, 10, 1} of them", "found {1, 2, 10} of them"),
        ("frozenset({'b', 'a'})", "frozenset({'a', 'b'})"),
        ("{(2, 'b'), (1, 'a')}", "{(1, 'a'), (2, 'b')}"),
        ("[{'k': {2, 1}}, {None, True}]", "[{'k': {1, 2}}, {True, None}]"),
        ("{Decimal('2'), Decimal('1')}", "{Decimal('1'), Decimal('2')}"),
        ("{frozenset({2, 1}), frozenset({3})}", "{frozenset({3}), frozenset({1, 2})}"),
        ("it's {b'b', b'a'}\n{1, 2}", "it's {b'a', b'b'}\n{2, 1}"),
        ("{-1.5, nan, 1e-07}", "{1e-07, -1.5, nan}"),
    ],
)
def test_sets_in_a_text(text: str, same: str) -> None:
    assert text != same
    assert unordered(text) == unordered(same)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("{'b': 1, 'a': 2}", "{'a': 2, 'b': 1}"),  # A dict has an order.
        ("['b', 'a']", "['a', 'b']"),
        ("('b', 'a')", "('a', 'b')"),
        ("{'a', 'b'}", "{'a', 'c'}"),
        ("{'a', 'b'}", "{'a', 'b', 'b'}"),
        ("{'a, b', 'c'}", "{'a', 'b, c'}"),
        ("{b, a}", "{a, b}"),  # No literals: it may be any text.
        ("{the end, a}", "{a, the end}"),
        ("'{2, 1}'", "'{1, 2}'"),  # In a string.
        ("{2,1}", "{1,2}"),  # Not as repr writes it.
        ("{2, 1", "{1, 2"),
        ("{(2, 1), 3}", "{(1, 2), 3}"),
    ],
)
def test_what_has_an_order_keeps_it(text: str, other: str) -> None:
    assert unordered(text) != unordered(other)


def test_a_text_without_sets_is_left_as_it_is() -> None:
    for text in ("", "a\n\nb\n", "}{, ", "{(, )}", "{'a', (1, [2}", "{'a', 'b"):
        assert unordered(text) == text


LINE = 9_900
HOSTILE = {
    "quotes": "{, " + "'\"" * (LINE // 2),
    "escapes": "{, '" + "\\'" * (LINE // 2 - 2),
    "open": "{, " * (LINE // 3),
    "nested": "{, " + "(" * LINE,
    "closed": "{, " + "(" * 10 + ")" * 10 + "}, {" * (LINE // 4),
    "apostrophes": "{, " + "a'" * (LINE // 2),
    "elements": "{" + "1, " * (LINE // 3) + "1}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_looking_for_sets_costs_the_length_of_the_text(name: str) -> None:
    text = "\n".join([HOSTILE[name]] * 100)
    began = time.thread_time()
    unordered(text)
    assert time.thread_time() - began < 3, "a megabyte"


def plot(points: int) -> str:
    figure = Figure()
    axes = figure.subplots()
    axes.plot(range(points), marker="o")
    axes.scatter(range(3), range(3))
    axes.bar([1, 2], [1, 2], hatch="/")
    axes.imshow([[0, 1], [1, 0]])
    out = io.StringIO()
    figure.savefig(out, format="svg")
    return out.getvalue()


def test_ids_and_dates_of_matplotlib_do_not_count_and_what_they_name_does() -> None:
    one, two = plot(5), plot(5)
    assert one != two
    assert plain_svg(one) == plain_svg(two)
    assert plain_svg(one) != plain_svg(plot(6))
    assert plain_svg(one) != plain_svg(two.replace("#1f77b4", "#1f77b5"))
    clip = two.index("clip-path=") + len('clip-path="url(#p')
    assert plain_svg(two) != plain_svg(two[:clip] + "0123456789" + two[clip + 10 :])
    others = (
        svg.replace("matplotlib", "inkscape").replace("linejoin: round", "linejoin: arcs")
        for svg in (one, two)
    )
    assert plain_svg(next(others)) != plain_svg(next(others))
    shown = [inert_svg(svg) or "" for svg in (one, two, plot(6))]
    assert plain_svg(shown[0]) == plain_svg(shown[1])
    assert plain_svg(shown[0]) != plain_svg(shown[2])


def test_ids_of_a_styler_do_not_count() -> None:
    html = '<style>#T_{0}_row0_col0 {{color: red}}</style><table id="T_{0}"><td id="T_{0}_row0_col0">{1}</td>'
    assert plain_html(html.format("1a2b3", "5")) == plain_html(html.format("fffff", "5"))
    assert plain_html(html.format("1a2b3", "5")) != plain_html(html.format("1a2b3", "6"))


@pytest.mark.parametrize(
    "ids", ['"m0123456789' * 50_000, '"C0_' * 50_000, "#T_" * 50_000, "<dc:date>" * 50_000]
)
def test_ids_cost_the_length_of_the_text(ids: str) -> None:
    began = time.thread_time()
    plain_svg("matplotlib" + ids)
    plain_html(ids)
    normalise(ids)
    assert time.thread_time() - began < 2
