"""Owns keeping secrets out of files: what the host knows as a secret is written as `[secret NAME]`, what
matches a pattern of the user's as `[NAME N]` (`patterns`).

A secret is known by its exact characters, also where they stand escaped inside JSON text. What a
program derives from one (its length, its base64) is not found here; that secrets do not get into the
sandbox at all is the provisioner's part.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeVar, cast

from ..trajectory import RunInfo, Step, Trajectory
from .patterns import SECRET, Patterns, marks_of
from .walk import Walk

T = TypeVar("T")
MIN_LENGTH = 8
"""Shorter values are words, not secrets; replacing them would ruin the text."""
_NAMES = re.compile("KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)


class Redactor:
    """Replaces secrets and what matches a user's patterns, and knows what it has replaced.

    One for all that is written of a run: so a value has the same mark everywhere.

    Args:
        secrets: name -> value; a value of less than `MIN_LENGTH` characters is left out.
        patterns: NAME=REGEX, as `patterns.Patterns`. Raises UsageError.
    """

    def __init__(self, secrets: Mapping[str, str], patterns: Iterable[str] = ()) -> None:
        forms = {form: name for name, value in secrets.items() for form in _forms(value)}
        # The longest first: a secret that holds another is replaced whole.
        self._forms = sorted(forms.items(), key=lambda item: (-len(item[0]), item[0]))
        self._needles = tuple({_escaped(form) for form in forms})
        self._patterns = Patterns(patterns, forms.values())
        self._matches = bool(self._patterns)
        self._secrets: set[str] = set()
        self._clean: dict[int, tuple[Step, Step]] = {}
        self._walk = Walk(self.text if self._patterns else self._exact, self._exact)

    @classmethod
    def of_host(cls, extra: Mapping[str, str] | None = None, patterns: Iterable[str] = ()) -> Redactor:
        """Knows the environment variables whose name says that they are secret, and `extra`."""
        known = {name: value for name, value in os.environ.items() if _NAMES.search(name)}
        return cls({**known, **(extra or {})}, patterns)

    @property
    def patterns(self) -> tuple[str, ...]:
        """Names of the patterns that it was given."""
        return self._patterns.names

    @property
    def names(self) -> tuple[str, ...]:
        """Of the secrets and the patterns that were replaced, sorted."""
        return tuple(sorted({*self._secrets, *self._patterns.last}))

    @property
    def summary(self) -> str:
        """What was replaced, for a person: `email (3), secret OPENAI_API_KEY`; "" when nothing was."""
        found = [f"{name} ({count})" for name, count in sorted(self._patterns.last.items())]
        return ", ".join([*found, *(f"{SECRET} {name}" for name in sorted(self._secrets))])

    def keep(self, name: str, value: str) -> str:
        """A secret that a person has just given, of whatever length, is replaced from now on: by what."""
        found = dict.fromkeys(_forms(value, least=1), name)
        self._forms = sorted(
            {**dict(self._forms), **found}.items(), key=lambda item: (-len(item[0]), item[0])
        )
        self._needles = (*self._needles, *map(_escaped, found))
        self._clean.clear()
        return f"[{SECRET} {name}]"

    def learn(self, trajectory: Trajectory) -> None:
        """What was replaced in a record that was made earlier; numbering goes on after its marks.

        Which value a mark stands for is not known any more: one that comes again gets a new number.
        """
        names = {*self._patterns.names, *trajectory.info.masks}
        found: dict[str, int] = {}

        def note(text: str) -> str:
            for name, number in marks_of(text, names):
                found[name] = max(found.get(name, 0), number)
            return text

        Walk(note, note)(trajectory)
        self._secrets |= {name for name, number in found.items() if not number}
        self._patterns.learn({name: number for name, number in found.items() if number}, self._secrets)

    def hits(self, line: str) -> bool:
        """Whether a line of ASCII JSON may hold something to replace; False is certain."""
        # What matches a pattern may stand escaped in a line, so only the record can tell.
        if self._matches:
            return True
        for needle in self._needles:  # noqa: SIM110  # this is asked twice a tool call
            if needle in line:
                return True
        return False

    def holds_secret(self, data: bytes) -> bool:
        """Whether something to replace stands in these bytes as text; what is packed is not looked into."""
        codes = ("utf-8", "utf-16-le", "utf-16-be")
        if any(form.encode(code, "surrogatepass") in data for form, _ in self._forms for code in codes):
            return True
        likely = codes if b"\0" in data else codes[:1]
        return any(self._patterns.match(data.decode(code, "replace")) for code in likely)

    def text(self, text: str) -> str:
        return self._patterns.text(self._exact(text))

    def record(self, record: T) -> T:
        """The same record (dataclass, tuple, mapping or text) with nothing in it that is to be replaced."""
        if not self._forms and not self._patterns:
            return record
        if isinstance(record, Trajectory):
            return cast(T, self._trajectory(record))
        clean: T = self._walk(record)
        if isinstance(clean, RunInfo) and self._patterns:
            clean = replace(clean, masks=tuple(sorted({*clean.masks, *self._patterns.names})))
        return clean

    def _trajectory(self, run: Trajectory) -> Trajectory:
        turns = []
        for turn in run.turns:
            rest = self._walk(replace(turn, steps=()))
            turns.append(replace(rest, steps=tuple(map(self._step, turn.steps))))
        verdict = self._walk(run.verdict)
        clean = replace(run, info=self.record(run.info), turns=tuple(turns), verdict=verdict)
        return run if clean == run else clean

    def _step(self, step: Step) -> Step:
        """A run is written again and again, and its steps are the same."""
        known = self._clean.get(id(step))
        if known is None:
            known = self._clean[id(step)] = (step, self._walk(step))
        return known[1]

    def _exact(self, text: str) -> str:
        for form, name in self._forms:
            if form in text:
                text = text.replace(form, f"[{SECRET} {name}]")
                self._secrets.add(name)
        return text


def _forms(value: str, least: int = MIN_LENGTH) -> set[str]:
    if len(value) < least or value.isspace():
        return set()
    return {value, _escaped(value), json.dumps(value, ensure_ascii=False)[1:-1]}


def _escaped(text: str) -> str:
    return json.dumps(text)[1:-1]
