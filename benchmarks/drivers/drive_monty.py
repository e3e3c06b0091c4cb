"""Owns driving Monty: a session of its pool of worker processes."""

from __future__ import annotations

from contextlib import ExitStack

from pydantic_monty import CollectString, Monty
from serve import serve


class MontySession:
    def begin(self) -> None:
        self._open = ExitStack()
        pool = self._open.enter_context(Monty())
        self._session = self._open.enter_context(pool.checkout())

    def step(self, code: str) -> str:
        printed = CollectString()
        result = self._session.feed_run(code, print_callback=printed)
        return f"{printed.output}{'' if result is None else repr(result)}"

    def end(self) -> None:
        self._open.close()


if __name__ == "__main__":
    serve(MontySession())
