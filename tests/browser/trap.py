"""Owns the trap for what hostile outputs do: a listener they may call, and what they leave in a page."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from playwright.sync_api import Page, Request, WebSocket


@dataclass
class Trap:
    """`url`: of the listener; `calls`: what it was asked for; `requests`: what pages asked others for."""

    url: str
    calls: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def watch(self, page: Page, *allowed: str) -> None:
        """From now on notes where `page` turns to, other than to `allowed` origins."""

        def note(asked: Request | WebSocket) -> None:
            if not asked.url.startswith((*allowed, "data:", "blob:")):
                self.requests.append(asked.url)

        page.on("request", note)
        page.on("websocket", note)

    def caught(self) -> list[str]:
        return [*self.calls, *self.requests]


@contextmanager
def trap() -> Iterator[Trap]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.calls.append(self.path)
            self.send_response(204)
            self.end_headers()

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Nothing: pytest's output is not its."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made = Trap(f"http://127.0.0.1:{server.server_port}/")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()
