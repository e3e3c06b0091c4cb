"""Owns the search for tools: ranked by words of module, name, parameters and description.

BM25 over fields (Robertson, Zaragoza: The Probabilistic Relevance Framework, 2009): a word counts more in a
name than in a description, and more when few tools have it. Words are cut out of snake_case and camelCase;
a word that is asked for finds those that begin with it, and where nothing is found, those spelled nearly so.
"""

from __future__ import annotations

import difflib
import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from heapq import nsmallest
from itertools import islice
from math import log
from typing import TypeAlias

from .messages import ToolSpec

LIMIT = 10
_Like: TypeAlias = "Callable[[str], Iterable[tuple[str, float]]]"
"""The words that tools have for one that is asked for, and how much each counts."""
_MODULE, _NAME, _PARAMETER, _DOC = 3.0, 4.0, 1.5, 1.0
"""How much a word counts, by where it stands."""
_PREFIX, _NEARLY = 0.5, 0.3
"""How much of that, where it only begins so, or is spelled nearly so."""
_K1, _B = 1.2, 0.5
_DOC_CHARS = 2_000
_PARAMETERS = 100
_QUERY_WORDS = 16
_EXPANDED = 100
"""Words of the tools that one word of a query may stand for."""
_WORDS = re.compile(r"[^\W\d_]+|\d+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def words(text: str) -> list[str]:
    """The words of a name or a sentence, small, in the singular as far as that is simple."""
    return [*map(_stem, _WORDS.findall(_CAMEL.sub(" ", text).lower()))]


@lru_cache(maxsize=20_000)
def _stem(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
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
        asked = [*dict.fromkeys(words(query[:_DOC_CHARS]))][:_QUERY_WORDS]
        scores = self._scores(asked, self._beginning)
        scores = scores or self._scores(asked, self._nearly)
        exact = self._by_name.get(query.strip().lower())
        ranked = nsmallest(limit, scores, key=lambda place: (place != exact, -scores[place], place))
        return tuple(self._specs[place] for place in ranked)

    def _scores(self, asked: Sequence[str], like: _Like) -> Mapping[int, float]:
        """By place; a tool that has more of the words comes before one that has a word more often."""
        total: dict[int, float] = defaultdict(float)
        matched: dict[int, int] = defaultdict(int)
        for word in asked:
            for place, score in self._of_word(like(word)).items():
                total[place] += score
                matched[place] += 1
        return {place: score * matched[place] / len(asked) for place, score in total.items()}

    def _of_word(self, expanded: Iterable[tuple[str, float]]) -> Mapping[int, float]:
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
        for word in words(text):
            counts[word] += weight
    return counts


def _parameters(spec: ToolSpec) -> Iterator[str]:
    """The names of its parameters; the server's own where Python's have not been made yet."""
    yield from (parameter.name for parameter in spec.parameters)
    properties = spec.schema.input.get("properties") if spec.schema and not spec.parameters else None
    if isinstance(properties, Mapping):
        yield from (name for name in properties if isinstance(name, str))
