"""Owns `resumed.ipynb`: the host is killed in the middle of five payments; another process goes on."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from codeact_kernel import Agent, ScriptedModel, tool

from .support import step

DUE = {"R-01": 120, "R-02": 75, "R-03": 310, "R-04": 48, "R-05": 95}
KILLED_AT = "R-03"


@dataclass(frozen=True)
class Transfer:
    """Money that went out; `amount` in EUR."""

    id: int
    invoice: str
    amount: int


def bank(ledger: Path, *, dies: bool) -> list[object]:
    """Three tools over a ledger on the disk. `dies`: the process that makes a certain transfer is killed
    after the money went out, and before it hears of it."""

    def made() -> list[Transfer]:
        lines = ledger.read_text().splitlines() if ledger.exists() else []
        return [Transfer(**json.loads(line)) for line in lines]

    @tool(effect="read")
    def due_invoices() -> dict[str, int]:
        """Invoices that are due, with their amounts in EUR."""
        return DUE

    @tool(effect="read")
    def transfers() -> list[Transfer]:
        """All transfers that have been made."""
        return made()

    @tool
    def pay(invoice: str, amount: int) -> Transfer:
        """Transfers the amount of an invoice, in EUR."""
        transfer = Transfer(len(made()) + 1, invoice, amount)
        with ledger.open("a") as file:
            print(json.dumps(vars(transfer)), file=file)
        if dies and invoice == KILLED_AT:
            os.kill(os.getpid(), signal.SIGKILL)
        return transfer

    return [due_invoices, transfers, pay]


TASK = "Pay the five invoices that are due, each once."
BEFORE = (
    step(
        "Which ones are due, and has any of them been paid already?",
        """
        due = due_invoices()
        print(due)
        print("paid so far:", [transfer.invoice for transfer in transfers()])
        """,
    ),
    step(
        "None yet. I pay them one after the other, and keep what comes back.",
        """
        paid = {}
        for invoice, amount in due.items():
            paid[invoice] = pay(invoice, amount)
            print(invoice, "paid, transfer", paid[invoice].id)
        """,
    ),
)
AFTER = (
    step(
        """The run was cut off while R-03 was being paid, so nobody knows whether that was done, and it was
        not tried again. The bank knows: I ask for its transfers instead of paying on suspicion.""",
        """
        done = {transfer.invoice: transfer for transfer in transfers()}
        print("paid:    ", sorted(done))
        print("not paid:", sorted(due.keys() - done.keys()))
        """,
    ),
    step(
        "R-03 had gone through. Two are left; after them the bank must show each invoice exactly once.",
        """
        for invoice in sorted(due.keys() - done.keys()):
            pay(invoice, due[invoice])
        booked = transfers()
        assert sorted(transfer.invoice for transfer in booked) == sorted(due)
        assert all(transfer.amount == due[transfer.invoice] for transfer in booked)
        final_answer(f"All {len(booked)} invoices are paid once, {sum(t.amount for t in booked)} EUR in all.")
        """,
    ),
)


def write(path: Path) -> None:
    with TemporaryDirectory() as folder:
        ledger = Path(folder, "ledger.jsonl")
        first = multiprocessing.get_context("spawn").Process(target=begin, args=(path, ledger))
        first.start()
        first.join()
        assert first.exitcode == -signal.SIGKILL, first.exitcode
        with Agent(bank(ledger, dies=False), model=ScriptedModel(AFTER)) as agent:
            agent.resume(path, in_doubt="skip")
            agent.run_sync(None)


def begin(path: Path, ledger: Path) -> None:
    """The first session; its process does not live to see the end."""
    with Agent(bank(ledger, dies=True), model=ScriptedModel(BEFORE), out=path) as agent:
        agent.run_sync(TASK)
