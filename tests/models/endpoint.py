"""Owns a scripted Messages API on 127.0.0.1, for the real SDK: answers in order, faults included.

    with Endpoint([sse_code("print(1)"), status(429, {"retry-after": "2"}), sse_text("done")]) as endpoint:
        model = AnthropicModel("claude-test", base_url=endpoint.url)   # or set ANTHROPIC_BASE_URL
        ...
    endpoint.requests[0].body["messages"]

An answer is bytes on the wire and how the connection ends, so every fault is exactly itself.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

Ending = Literal["clean", "drop", "hang"]
"""clean: the response ends well. drop: the socket closes within it. hang: silence until closed."""


@dataclass(frozen=True)
class Answer:
    """One response: `body`, sent up to `cut` bytes (all when None), then `ending`."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    ending: Ending = "clean"

    @property
    def sent(self) -> bytes:
        return self.body if self.cut is None else self.body[: self.cut]


@dataclass(frozen=True)
class Seen:
    """A request as it came."""

    path: str
    headers: Mapping[str, str]
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.raw)
        return parsed


# --- answers -----------------------------------------------------------------------------------


def sse(
    blocks: Sequence[Mapping[str, Any]],
    stop_reason: str | None = "end_turn",
    *,
    usage: Mapping[str, int] | None = None,
    stop_details: Mapping[str, Any] | None = None,
    pieces: int = 3,
) -> Answer:
    """A whole message. A tool_use block may give `json` (raw text of its input) for `input`."""
    counts = {"input_tokens": 10, "output_tokens": 5, **(usage or {})}
    message = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "test", "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": {**counts, "output_tokens": 1},
    }  # fmt: skip
    events: list[Mapping[str, Any]] = [{"type": "message_start", "message": message}, {"type": "ping"}]
    for index, block in enumerate(blocks):
        events += _block_events(index, dict(block), pieces)
    delta = {"stop_reason": stop_reason, "stop_sequence": None, "stop_details": stop_details}
    events.append(
        {"type": "message_delta", "delta": delta, "usage": {"output_tokens": counts["output_tokens"]}}
    )
    events.append({"type": "message_stop"})
    return raw_sse(events)


def sse_text(text: str, *, thought: str = "", **more: Any) -> Answer:
    """A final answer in the tool dialect; the whole reply, marks included, in the text dialect."""
    return sse([*_thinking(thought), {"type": "text", "text": text}], **more)


def sse_code(code: str, *, thought: str = "", call_id: str = "toolu_1", **more: Any) -> Answer:
    """A call of execute_python, after `thought` as text."""
    said = [{"type": "text", "text": thought}] if thought else []
    call = {"type": "tool_use", "id": call_id, "name": "execute_python", "input": {"code": code}}
    return sse([*said, call], **{"stop_reason": "tool_use", **more})


def sse_error(
    kind: str = "overloaded_error", message: str = "Overloaded", *, after: Answer | None = None
) -> Answer:
    """An error event within a stream that began well: `after` is what came before it."""
    begun = (after or sse_text("I beg")).body
    head = begun[: begun.index(b"event: content_block_stop")]
    error = {"type": "error", "error": {"type": kind, "message": message}}
    return Answer(head + raw_sse([error]).body, headers=_EVENT_STREAM)


def status(
    code: int, headers: Mapping[str, str] | None = None, *, kind: str = "error", message: str = ""
) -> Answer:
    """An error response before any stream."""
    error = {"type": "error", "error": {"type": kind, "message": message or f"scripted {code}"}}
    return Answer(json.dumps(error).encode(), code, {"content-type": "application/json", **(headers or {})})


def truncated(answer: Answer, at: bytes, ending: Ending = "clean") -> Answer:
    """`answer` up to the first `at`."""
    return replace(answer, cut=answer.body.index(at), ending=ending)


def raw_sse(events: Iterable[Mapping[str, Any]]) -> Answer:
    body = b"".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events)
    return Answer(body, headers=_EVENT_STREAM)


_EVENT_STREAM = {"content-type": "text/event-stream"}


def _thinking(thought: str) -> list[Mapping[str, Any]]:
    return [{"type": "thinking", "thinking": thought, "signature": "c2lnbmVk"}] if thought else []


def _block_events(index: int, block: dict[str, Any], pieces: int) -> list[Mapping[str, Any]]:
    deltas: list[Mapping[str, Any]] = []
    match block["type"]:
        case "text":
            deltas = [{"type": "text_delta", "text": part} for part in _cut(block["text"], pieces)]
            block["text"] = ""
        case "thinking":
            deltas = [
                {"type": "thinking_delta", "thinking": part} for part in _cut(block["thinking"], pieces)
            ]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
            block |= {"thinking": "", "signature": ""}
        case "tool_use":
            text = block.pop("json", None)
            text = json.dumps(block.get("input", {})) if text is None else text
            deltas = [{"type": "input_json_delta", "partial_json": part} for part in _cut(text, pieces)]
            block["input"] = {}
    return [
        {"type": "content_block_start", "index": index, "content_block": block},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def _cut(text: str, pieces: int) -> list[str]:
    size = max(1, -(-len(text) // pieces))
    return [text[start : start + size] for start in range(0, len(text), size)]


# --- the server --------------------------------------------------------------------------------


class Endpoint:
    """Serves `answers` in order, one a request; a request past the last one is answered with 400."""

    def __init__(self, answers: Iterable[Answer]) -> None:
        self._answers = list(answers)
        self._lock = threading.Lock()
        self.requests: list[Seen] = []
        self.closed_early = threading.Event()
        """Set when a client went away from an answer that hangs."""
        self.stopping = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Endpoint:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def next_answer(self, seen: Seen) -> Answer:
        with self._lock:
            self.requests.append(seen)
            number = len(self.requests)
            if number > len(self._answers):
                return status(
                    400, message=f"the endpoint has {len(self._answers)} answers, this is request {number}"
                )
            return self._answers[number - 1]


def _handler(endpoint: Endpoint) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["content-length"]))
            answer = endpoint.next_answer(
                Seen(self.path, {k.lower(): v for k, v in self.headers.items()}, raw)
            )
            self.close_connection = True
            self.send_response(answer.status)
            for name, value in {
                **answer.headers,
                "transfer-encoding": "chunked",
                "connection": "close",
            }.items():
                self.send_header(name, value)
            self.end_headers()
            if answer.sent:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(answer.sent), answer.sent))
            if answer.ending == "clean":
                self.wfile.write(b"0\r\n\r\n")
            elif answer.ending == "hang":
                self._wait_for_the_client_to_go()

        def _wait_for_the_client_to_go(self) -> None:
            self.connection.settimeout(0.05)
            while not endpoint.stopping.is_set():
                try:
                    if not self.connection.recv(1):
                        endpoint.closed_early.set()
                        return
                except TimeoutError:
                    continue
                except OSError:
                    endpoint.closed_early.set()
                    return

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is inherited
            """Quiet."""

    return Handler
