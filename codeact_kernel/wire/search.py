"""Owns the search for tools: ranked by words of module, name, parameters and description.

BM25 over fields (Robertson, Zaragoza: The Probabilistic Relevance Framework, 2009): a word counts more in a
name than in a description, and more when few tools have it. Words are cut out of snake_case and camelCase; a
word that is asked for finds those that begin with it, and where there are none, those spelled nearly so.
"""

from __future__ import annotations

import difflib
import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from heapq import nsmallest
from itertools import islice
from math import log
from typing import TypeAlias

from .messages import ToolSpec

LIMIT = 10
_Asked: TypeAlias = "tuple[str, tuple[str, ...]]"
"""A word of a query, and what it is made of, where that is camelCase."""
_Scores: TypeAlias = "dict[int, float]"
"""By the place of a tool."""
_MODULE, _NAME, _PARAMETER, _DOC = 3.0, 4.0, 1.5, 1.0
"""How much a word counts, by where it stands."""
_PREFIX, _NEARLY = 0.5, 0.3
"""How much of that, where it only begins so, or is spelled nearly so."""
_K1, _B = 1.2, 0.5
_DOC_CHARS = 2_000
_PARAMETERS = 100
_QUERY_WORDS = 16
_SPELLED = 3
"""Words of a query for which those spelled nearly so are looked for: that takes long."""
_EXPANDED = 100
"""Words of the tools that one word of a query may stand for."""
_WORDS = re.compile(r"[^\W\d_]+|\d+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_PLURAL = re.compile(r"(?:.ch|.sh|.x|.ss|.zz)(?=es$)|[^aeof]us(?=es?$)|..ch(?=e$)")
"""Branches, boxes, statuses, but houses and causes; and cache and excuse, so that they are what is left of
caches and excuses."""


def words(text: str) -> list[str]:
    """The words of a name or a sentence, small, in the singular as far as that is simple."""
    return [*map(_stem, _WORDS.findall(_CAMEL.sub(" ", text).lower()))]


@lru_cache(maxsize=20_000)
def _stem(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    if len(word) > 4 and (plural := _PLURAL.search(word)):
        word = word[: plural.end()]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


class SearchIndex:
    """Finds tools. Made once for some tools, which takes longer than many searches."""

    def __init__(self, specs: Iterable[ToolSpec]) -> None:
        self._specs = tuple(specs)
        self._by_name = {spec.name.lower(): place for place, spec in reversed([*enumerate(self._specs)])}
        counted = [_counts(spec) for spec in self._specs]
        lengths = [sum(counts.values()) for counts in counted]
        mean = sum(lengths) / len(lengths) if lengths else 1.0
        self._weights: dict[str, list[tuple[int, float]]] = defaultdict(list)
        """Of a word: the tools that have it, and how much it counts there, were it the only one."""
        for place, (counts, length) in enumerate(zip(counted, lengths, strict=True)):
            norm = _K1 * (1 - _B + _B * length / mean)
            for word, count in counts.items():
                self._weights[word].append((place, count * (_K1 + 1) / (count + norm)))
        self._vocabulary = sorted(self._weights)

    def __len__(self) -> int:
        return len(self._specs)

    def search(self, query: str, limit: int = LIMIT) -> tuple[ToolSpec, ...]:
        """The tools that fit best, at most `limit`, the best first; none when no word fits."""
        asked = [*dict.fromkeys(self._asked(query[:_DOC_CHARS]))][:_QUERY_WORDS]
        found = {each: self._found(*each) for each in asked}
        strange = [each for each in asked if not found[each]]
        if len(strange) < len(asked):  # A short one is near to too much to say anything beside others.
            strange = [(word, parts) for word, parts in strange if len(word) > 3]
        found |= {each: self._of_word(self._nearly(each[0])) for each in strange[:_SPELLED]}
        scores = _together([*found.values()])
        exact = self._by_name.get(query.strip().lower())
        ranked = nsmallest(limit, scores, key=lambda place: (place != exact, -scores[place], place))
        return tuple(self._specs[place] for place in ranked)

    def _asked(self, query: str) -> Iterator[_Asked]:
        """The words of a query. GitHub is one word, where a tool has it; else it is two, git and hub."""
        for text in _WORDS.findall(query):
            parts, whole = words(text), _stem(text.lower())
            if len(parts) > 1 and any(True for _ in self._beginning(whole)):
                yield whole, tuple(parts)
            else:
                yield from ((part, ()) for part in parts)

    def _found(self, word: str, parts: tuple[str, ...]) -> _Scores:
        """By place, how well a tool fits the word, or all of its parts."""
        best = self._of_word(self._beginning(word))
        if parts:
            first, *others = [self._of_word(self._beginning(part)) for part in parts]
            for place in [place for place in first if all(place in each for each in others)]:
                score = (first[place] + sum(each[place] for each in others)) / len(parts)
                best[place] = max(best.get(place, 0.0), score)
        return best

    def _of_word(self, expanded: Iterable[tuple[str, float]]) -> _Scores:
        """By place: how well it fits one word of a query, by the best of the words that stands for."""
        best: dict[int, float] = {}
        known = [(self._weights[word], factor) for word, factor in expanded]
        common = sum(len(weights) for weights, _ in known)
        for weights, factor in known:
            rarity = factor * self._rarity(len(weights) if factor == 1 else common)
            if not best:
                best = {place: rarity * weight for place, weight in weights}
                continue
            for place, weight in weights:
                if rarity * weight > best.get(place, 0.0):
                    best[place] = rarity * weight
        return best

    def _rarity(self, tools: int) -> float:
        """Of a word that so many tools have; never more than they are."""
        have = min(tools, len(self))
        return log(1 + (len(self) - have + 0.5) / (have + 0.5))

    def _beginning(self, word: str) -> Iterator[tuple[str, float]]:
        """The word itself, and those that begin with it; a number is only itself."""
        if word.isdigit():
            return iter([(word, 1.0)] if word in self._weights else [])
        return self._longer(word)

    def _longer(self, word: str) -> Iterator[tuple[str, float]]:
        start = bisect_left(self._vocabulary, word)
        for found in self._vocabulary[start : start + _EXPANDED]:
            if not found.startswith(word):
                return
            yield found, 1.0 if found == word else _PREFIX

    def _nearly(self, word: str) -> Iterator[tuple[str, float]]:
        alike = (
            known for known in self._vocabulary if known[0] == word[0] and abs(len(known) - len(word)) < 3
        )
        for found in difflib.get_close_matches(word, alike, n=3, cutoff=0.75):
            yield found, _NEARLY


def _together(found: Sequence[_Scores]) -> Mapping[int, float]:
    """By place; a tool that has more of the words comes before one that has a word more often."""
    total: dict[int, float] = defaultdict(float)
    matched: dict[int, int] = defaultdict(int)
    for scores in found:
        for place, score in scores.items():
            total[place] += score
            matched[place] += 1
    return {place: score * matched[place] / len(found) for place, score in total.items()}


def nearest(name: str, names: Iterable[str], most: int = 3) -> tuple[str, ...]:
    """The names that somebody who wrote `name` may have meant, the nearest first."""
    return tuple(difflib.get_close_matches(name[:_DOC_CHARS], names, n=most, cutoff=0.6))


def _counts(spec: ToolSpec) -> Mapping[str, float]:
    counts: dict[str, float] = defaultdict(float)
    # Sentences have few names in camelCase, and most of the characters.
    for word, times in Counter(_WORDS.findall(spec.doc[:_DOC_CHARS].lower())).items():
        counts[_stem(word)] += times * _DOC
    parameters = " ".join(islice(_parameters(spec), _PARAMETERS))
    for weight, text in ((_MODULE, spec.module), (_NAME, spec.function), (_PARAMETER, parameters)):
        cut = words(text)
        # As descriptions are read, and as somebody may ask: in one.
        whole = {*map(_stem, _WORDS.findall(text.lower()))}.difference(cut) if _CAMEL.search(text) else ()
        for word in (*cut, *whole):
            counts[word] += weight
    return counts


def _parameters(spec: ToolSpec) -> Iterator[str]:
    """The names of its parameters; the server's own where Python's have not been made yet."""
    yield from (parameter.name for parameter in spec.parameters)
    properties = spec.schema.input.get("properties") if spec.schema and not spec.parameters else None
    if isinstance(properties, Mapping):
        yield from (name for name in properties if isinstance(name, str))
