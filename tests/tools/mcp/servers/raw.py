"""Owns a server by hand, of the standard library: for tests of processes, eras of the protocol, odd answers.

Argument: how it behaves. Environment: MARK, a file that it writes to.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

Message = dict[str, Any]
TEXT = {"type": "text", "text": "fine"}
ASKED = {"message": "A word?", "mode": "form", "requestedSchema": {"type": "object", "properties": {}}}
COMPLETE = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
SLEEPER = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(1000)"


def send(**message: Any) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def answer(asked: Message, text: str = "fine", **more: Any) -> None:
    send(id=asked["id"], result={"content": [{"type": "text", "text": text}], **more})


def mark(*words: object) -> None:
    with open(os.environ["MARK"], "a") as opened:
        opened.write(" ".join(map(str, words)) + "\n")


def received() -> Iterator[Message]:
    for line in iter(sys.stdin.readline, ""):
        yield json.loads(line)


def family() -> None:
    """A child in the group, one in a session of its own whose parent ends, and one that ignores SIGTERM."""
    child = subprocess.Popen(["sleep", "1000"], stdin=subprocess.DEVNULL)
    stubborn = subprocess.Popen([sys.executable, "-c", SLEEPER], stdin=subprocess.DEVNULL)
    daemon = subprocess.run(
        ["sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 & echo $!"],
        capture_output=True,
        text=True,
        check=True,
    )
    mark(os.getpid(), child.pid, stubborn.pid, daemon.stdout.strip())


def call(mode: str, asked: Message) -> None:
    match asked["params"]["name"]:
        case "environment":
            answer(asked, json.dumps(dict(os.environ)))
        case "close":
            os.close(1)
            time.sleep(1000)
        case "deafen":
            os.close(0)
            answer(asked)
            time.sleep(1000)
        case "heavy":
            nested = "[" + "[]," * 1_100_000 + "0]"
            sys.stdout.write(
                f'{{"jsonrpc": "2.0", "id": {asked["id"]}, "result": {{"content": {nested}}}}}\n'
            )
            sys.stdout.flush()
        case "begin":
            mark("begun")
        case "hang":
            return
        case "die":
            os.write(2, b"\x1b[31mout of cheese\x1b[0m\n")
            os._exit(3)
        case "questions":
            questions(asked, int(asked["params"]["arguments"]["count"]))
        case "modern question":
            if (given := asked["params"].get("inputResponses")) is None:
                request = {"method": "elicitation/create", "params": ASKED}
                needs = {
                    "resultType": "input_required",
                    "inputRequests": {"word": request},
                    "requestState": "s",
                }
                send(id=asked["id"], result=needs)
            else:
                answer(asked, given["word"]["action"], resultType="complete")
        case "no content":
            send(id=asked["id"], result={"content": "none"})
        case "shapeless":
            answer(asked)
        case "wrong shape":
            answer(asked, structuredContent={"n": "x"})
        case "slow pattern":
            answer(asked, structuredContent={"n": "a" * 40 + "!"})
        case "fine":
            answer(asked)
        case "upstream":
            send(id=asked["id"], error={"code": -32000, "message": "Connection closed"})
        case "changed":
            for _ in range(50):
                send(method="notifications/tools/list_changed")
            answer(asked)


def questions(asked: Message, count: int) -> None:
    """All at once; the answer has the answers."""
    for number in range(count):
        send(id=f"q{number}", method="elicitation/create", params=ASKED)
    got: list[str] = []
    for message in received():
        if str(message.get("id", "")).startswith("q"):
            got.append(message["result"]["action"] if "result" in message else "error")
            if got[-1] == "error" and "MARK" in os.environ:
                mark("refused")
            if len(got) == count:
                break
    answer(asked, json.dumps(got))


def tools(mode: str, cursor: str | None) -> Message:
    number = int(cursor or 0)
    good: Message = {"name": f"tool_{number}", "inputSchema": {"type": "object"}}
    match mode:
        case "endless":
            return {"tools": [good], "nextCursor": str(number + 1)}
        case "circle":
            return {"tools": [good], "nextCursor": "7"}
        case "crowd":
            return {"tools": [good | {"name": f"tool_{n}"} for n in range(20_000)]}
        case "pages":
            return {"tools": [good]} | ({"nextCursor": str(number + 1)} if number < 4 else {})
        case "odd":
            typeless: Message = {"name": "typeless", "inputSchema": {}}
            bad = [{"name": "no schema"}, {"inputSchema": {}}, "text", good | {"description": 3}]
            return {"tools": [good, *bad, typeless]}
    return {"tools": [good]}


def serve(mode: str) -> None:
    for asked in received():
        about: Message = {"name": mode, "version": "1"}
        capabilities = {"tools": {"listChanged": True}}
        match asked.get("method"):
            case "server/discover" if mode == "modern":
                result = {"supportedVersions": ["2026-07-28"], "capabilities": capabilities}
                send(id=asked["id"], result=result | COMPLETE)
            case "subscriptions/listen":
                meta = {"io.modelcontextprotocol/subscriptionId": asked["id"]}
                said = {"notifications": asked["params"]["notifications"], "_meta": meta}
                send(method="notifications/subscriptions/acknowledged", params=said)
                send(method="notifications/tools/list_changed", params={"_meta": meta})
            case "initialize":
                version = asked["params"]["protocolVersion"]
                result = {"protocolVersion": version, "capabilities": capabilities, "serverInfo": about}
                send(id=asked["id"], result=result)
            case "tools/list":
                more = COMPLETE if mode == "modern" else {}
                send(id=asked["id"], result=tools(mode, asked.get("params", {}).get("cursor")) | more)
            case "tools/call":
                call(mode, asked)
            case "notifications/cancelled":
                mark("cancelled")
            case str() if "id" in asked:
                send(id=asked["id"], error={"code": -32601, "message": "not here"})


def main(mode: str) -> None:
    if mode in ("family", "deaf", "slow"):
        family()
    if mode in ("deaf", "slow"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if mode == "slow":
        time.sleep(1000)
    if mode == "poor":
        os.write(2, b"no licence key: set LICENCE\n")
        sys.exit(4)
    if mode == "banner":
        sys.stdout.write("Welcome!\n{this is no JSON}\n\n")
    serve(mode)
    if mode == "deaf":
        time.sleep(1000)


if __name__ == "__main__":
    main(sys.argv[1])
