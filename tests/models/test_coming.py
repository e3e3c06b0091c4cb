"""A model whose SDK comes later: when that is done, and that it answers as the model that it becomes."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from codeact_kernel.exceptions import CredentialsError
from codeact_kernel.models import DEFAULT_SPEC, load_model, pricing
from codeact_kernel.models.anthropic import AnthropicModel
from codeact_kernel.models.coming import ComingModel, plain_key
from codeact_kernel.models.dialects import TextDialect
from codeact_kernel.trajectory import Reply, Usage

from .endpoint import Endpoint, sse_text
from .support import KEY, request

MADE = """
import sys, threading
from codeact_kernel.models import load_model
from codeact_kernel.trajectory import Usage
hold = threading.Lock()
class Slow:  # Nothing of the SDK comes before it is let go: what is made meanwhile does without.
    def find_spec(self, name, *_):
        if name == "anthropic":
            hold.acquire()
hold.acquire()
sys.meta_path.insert(0, Slow())
model = load_model("anthropic:claude-sonnet-5-5")
print(model, model.context_window, "anthropic" in sys.modules)
hold.release()
print(model.cost(Usage(input_tokens=1_000_000)))
"""


def test_the_model_is_there_before_its_sdk(monkeypatch: pytest.MonkeyPatch, no_keys: None) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    done = subprocess.run([sys.executable, "-c", MADE], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout == "ComingModel('claude-sonnet-5-5') 1000000 False\n2.0\n"


def test_it_answers_as_the_model_does() -> None:
    async def talk(model: ComingModel) -> Reply:
        try:
            return await model.respond(request(), lambda event: None)
        finally:
            await model.aclose()

    with Endpoint([sse_text("hi")]) as endpoint:
        assert asyncio.run(talk(ComingModel("m", "text", KEY, endpoint.url))).answer == "hi"
    assert endpoint.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert endpoint.requests[0].body["model"] == "m"
    assert "tools" not in endpoint.requests[0].body


def test_it_is_what_the_model_is() -> None:
    coming, there = ComingModel("claude-opus-5", "text", KEY), AnthropicModel("claude-opus-5", api_key=KEY)
    assert (coming.name, coming.context_window) == (there.name, there.context_window)
    assert coming.instructions == TextDialect.instructions
    assert coming.cost(Usage(1000)) == there.cost(Usage(1000)) == pricing.cost("claude-opus-5", Usage(1000))


def test_it_may_be_closed_before_it_came() -> None:
    asyncio.run(ComingModel("m", "tool", KEY).aclose())


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({}, None),
        ({"ANTHROPIC_API_KEY": ""}, None),
        ({"ANTHROPIC_API_KEY": KEY}, KEY),
        ({"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": ""}, KEY),
        ({"ANTHROPIC_API_KEY": f"{KEY}\n"}, None),
        ({"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": "http://localhost:1"}, None),
        ({"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_AUTH_TOKEN": "token"}, None),
        ({"ANTHROPIC_PROFILE": "work"}, None),
    ],
)
def test_only_a_plain_key_needs_no_look(
    said: dict[str, str], found: str | None, monkeypatch: pytest.MonkeyPatch, no_keys: None
) -> None:
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    assert plain_key() == found


def test_what_is_wrong_is_still_said_at_once(monkeypatch: pytest.MonkeyPatch, no_keys: None) -> None:
    with pytest.raises(CredentialsError, match="No key"):
        load_model(DEFAULT_SPEC)
    monkeypatch.setenv("ANTHROPIC_API_KEY", f" {KEY}")
    with pytest.raises(CredentialsError, match="blanks"):
        load_model(DEFAULT_SPEC)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    assert isinstance(load_model(DEFAULT_SPEC), ComingModel)
    assert isinstance(load_model(DEFAULT_SPEC, base_url="http://localhost:1"), AnthropicModel)
