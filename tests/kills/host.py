"""The host that is killed: a run whose tools change something outside, and the same run resumed.

python -m tests.kills.host run|resume|recover FOLDER IN_DOUBT TRIGGER

TRIGGER is JSON: where this process kills itself, `{"at": "tool", "where": "before"|"after", "nth": 3}` or
`{"at": "open"|"os.rename"|"os.remove", "nth": 2}` for what it does to files of the record; `{}`: nowhere.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from codeact_kernel import Agent, ScriptedModel, tool
from codeact_kernel.events import Event, ModelRequest, TurnStarted
from codeact_kernel.exceptions import UsageError
from codeact_kernel.frontends.origin import InDoubt
from codeact_kernel.notebook.load import load
from codeact_kernel.notebook.recover import recover
from codeact_kernel.resuming import skipped
from codeact_kernel.wire.messages import ToolCall

COMMAND, FOLDER, IN_DOUBT, TRIGGER = sys.argv[1], Path(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4])
EFFECTS = os.open(FOLDER / "effects", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
PAUSE_S = 0.003
begun: Counter[str] = Counter()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)  # Until it has arrived.


def reached(at: str, where: str = "") -> None:
    """Kills this process when that is the moment."""
    if TRIGGER.get("at") == at and TRIGGER.get("where", "") == where:
        begun[at + where] += 1
        if begun[at + where] == TRIGGER["nth"]:
            die()


def audit(event: str, args: tuple[Any, ...]) -> None:
    if event == TRIGGER.get("at") and args and isinstance(args[0], str | os.PathLike):
        name = os.path.basename(os.fspath(args[0]))
        if isinstance(name, str) and (name.startswith(".codeact-") or name.endswith(".codeact.jsonl")):
            reached(event)


def change(what: str) -> None:
    """A side effect: it is on the disk when this returns."""
    reached("tool", "before")
    os.write(EFFECTS, f"{what}\n".encode())
    os.fsync(EFFECTS)
    reached("tool", "after")


@tool(effect="read")
def orders() -> list[int]:
    """The orders."""
    return list(range(6))


@tool
def refund(order: int) -> str:
    """Refunds an order."""
    time.sleep(PAUSE_S)
    change(f"refund {order}")
    time.sleep(PAUSE_S)
    return f"refunded {order}"


@tool
async def ship(order: int) -> str:
    """Ships an order; several at once take turns."""
    await asyncio.sleep(PAUSE_S * (1 + order * 7 % 5))
    change(f"ship {order}")
    await asyncio.sleep(PAUSE_S * (1 + order * 3 % 5))
    return f"shipped {order}"


@tool
def charge(order: int) -> str:
    """Charges an order, and fails afterwards."""
    change(f"charge {order}")
    raise ValueError(f"the card of {order} expired")


@tool
def tally(number: int) -> int:
    """Counts; asked the same several times."""
    change(f"tally {number}")
    return number


CELLS = [
    "ids = orders()\nprint('stage', 1, 'done')",
    "done = []\nfor order in ids:\n    try:\n        done.append(refund(order))\n"
    "    except RuntimeError as problem:\n        print('not again:', order)\nprint('stage', 2, 'done')",
    "import asyncio\nshipping = (ship(order) for order in ids[:5])\n"
    "sent = await asyncio.gather(*shipping, return_exceptions=True)\n"
    "print(len(sent), [type(each).__name__ for each in sent])\nprint('stage', 3, 'done')",
    "for order in ids[:3]:\n    try:\n        charge(order)\n"
    "    except (ValueError, RuntimeError) as problem:\n        print(type(problem).__name__)\n"
    "print('stage', 4, 'done')",
    "sums = []\nfor _ in range(3):\n    try:\n        sums.append(tally(1))\n"
    "    except RuntimeError:\n        sums.append(None)\nprint(sums)\nprint('stage', 5, 'done')\ncharge(99)",
    "print('stage', 6, 'done')\nfinal_answer(len(done))",
]


def decide(request: ModelRequest) -> dict[str, Any]:
    """The next cell, wherever the run was cut off: from what the cells have printed."""
    said = str(request.messages)
    stage = sum(f"stage {number} done" in said for number in range(1, len(CELLS) + 1))
    return {"code": CELLS[stage]} if stage < len(CELLS) else {"answer": "all is done"}


async def look(call: ToolCall) -> bool:
    """Who is asked looks whether there are more such effects than calls that are known to be done."""
    what = call.tool, call.args
    made = (FOLDER / "effects").read_text().splitlines().count(f"{call.tool} {call.args[0]}")
    calls = (each for step in load(FOLDER / "run.ipynb").steps for each in step.observation.tool_calls)
    done = sum((each.tool, each.args) == what and each.outcome not in (None, skipped(each)) for each in calls)
    return made <= done


def say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def tell(event: Event) -> None:
    if isinstance(event, TurnStarted):
        say("turn")


def main() -> None:
    path = FOLDER / "run.ipynb"
    sys.addaudithook(audit)
    if COMMAND == "recover":
        recover(path)
        return
    tools, model = [orders, refund, ship, charge, tally], ScriptedModel([decide] * 20)
    in_doubt: InDoubt = look if IN_DOUBT == "look" else "retry" if IN_DOUBT == "retry" else "skip"
    with Agent(tools, model=model, out=path if COMMAND == "run" else None) as agent:
        task: str | None = "see to all orders"
        if COMMAND == "resume":
            agent.resume(path, in_doubt=in_doubt)
            task = None
        try:
            run = agent.run_sync(task, on_event=tell)
        except UsageError as problem:
            if "no task was cut off" not in str(problem):
                raise
            run = agent.run_sync("see to all orders, again", on_event=tell)
        say("answered")
        say(f"verdict {run.verified_sync().text}")


if __name__ == "__main__":
    main()
