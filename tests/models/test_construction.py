"""Keys, endpoints, names, prices: what is settled before the first request."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from codeact_kernel.exceptions import CredentialsError, UsageError
from codeact_kernel.models import DEFAULT_SPEC, ScriptedModel, load_model, pricing
from codeact_kernel.models.anthropic import AnthropicModel
from codeact_kernel.models.dialects import TextDialect, ToolDialect
from codeact_kernel.trajectory import Usage

from .support import KEY

MILLION = Usage(input_tokens=1_000_000)


def test_no_key_says_what_to_set(no_keys: None) -> None:
    with pytest.raises(CredentialsError) as caught:
        AnthropicModel("claude-sonnet-5-5")
    for word in (
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_BASE_URL",
        "Ollama",
        "llama.cpp",
        "vLLM",
        "LM Studio",
        "codeact demo",
    ):
        assert word in str(caught.value)


def test_an_empty_key_is_no_key(no_keys: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "")
    with pytest.raises(CredentialsError, match="No key"):
        AnthropicModel("claude-sonnet-5-5", api_key="")


@pytest.mark.parametrize("key", [f"{KEY}\n", f" {KEY}", "sk-ü", "sk-a\x00b"])
def test_a_key_that_cannot_be_sent_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(CredentialsError) as caught:
        AnthropicModel("m", api_key=key)
    assert key.strip() not in str(caught.value)


@pytest.mark.parametrize("url", ["localhost:11434", "ftp://host", "http://", "http://host:port", "   "])
def test_a_base_url_must_be_one(url: str) -> None:
    with pytest.raises(UsageError, match="ANTHROPIC_BASE_URL"):
        AnthropicModel("m", api_key=KEY, base_url=url)


def test_a_broken_profile_is_a_credentials_error(no_keys: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_PROFILE", "nowhere")
    with pytest.raises(CredentialsError, match="profile"):
        AnthropicModel("claude-sonnet-5-5")


def test_other_ways_of_the_sdk_to_authenticate_stay(no_keys: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "token")
    assert AnthropicModel("claude-sonnet-5-5").name == "claude-sonnet-5-5"
    monkeypatch.delenv("ANTHROPIC_AUTH_TOKEN")
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "X-Api-Key: abc")
    assert AnthropicModel("claude-sonnet-5-5").name == "claude-sonnet-5-5"


def test_no_secret_in_the_repr() -> None:
    assert KEY not in repr(AnthropicModel("m", api_key=KEY, base_url=f"http://u:{KEY}@localhost"))


@pytest.mark.parametrize(
    ("name", "tokens"),
    [
        ("claude-sonnet-5-5", 1_000_000),
        ("claude-fable-5-2-20261101", 1_000_000),
        ("claude-opus-5", 1_000_000),
        ("claude-haiku-4-5-20251001", 200_000),
        ("claude-3-5-sonnet-latest", 200_000),
        ("claude-sonnet-5-5-mine", 200_000),
        ("llama3", 200_000),
    ],
)
def test_context_windows(name: str, tokens: int) -> None:
    assert AnthropicModel(name, api_key=KEY).context_window == tokens


# --- prices ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "dollars"),
    [
        ("claude-sonnet-5-5", 2),
        ("claude-opus-5-5", 4),
        ("claude-fable-5-2", 8),
        ("claude-opus-5-5-20261001", 4),
        ("claude-opus-4-20250514", 15),
        ("claude-haiku-4-5-20251001", 1),
    ],
)
def test_prices_of_known_names(name: str, dollars: float) -> None:
    assert pricing.cost(name, MILLION) == pytest.approx(dollars)


@pytest.mark.parametrize(
    "name",
    [
        "claude-nope-9",
        "llama3",
        "claude-sonnet-5-5-finetune",
        "my-claude-sonnet-5-5",
        "claude-opus-4-8-mytune",  # the library alone takes this and the next two for models it knows
        "claude-opus-4-88",
        "claude-2-tuned",
        "CLAUDE-SONNET-5-5",
        "",
    ],
)
def test_no_price_is_guessed(name: str) -> None:
    assert pricing.cost(name, MILLION) is None


def test_cached_tokens_have_their_own_prices() -> None:
    usage = Usage(input_tokens=100, output_tokens=10, cache_read_tokens=600, cache_write_tokens=300)
    expected = (100 * 2 + 10 * 10 + 600 * 0.1 + 300 * 2.5) / 1e6
    assert pricing.cost("claude-sonnet-5-5", usage) == pytest.approx(expected)


def test_haiku_is_priced_by_the_size_of_the_prompt() -> None:
    assert pricing.cost("claude-haiku-5-5", Usage(100_000)) == pytest.approx(0.01)
    long = Usage(1, 1000, cache_read_tokens=100_000)
    assert pricing.cost("claude-haiku-5-5", long) == pytest.approx(
        (1 * 0.5 + 1000 * 2.5 + 100_000 * 0.05) / 1e6
    )


def test_nothing_costs_nothing_but_only_where_the_price_is_known() -> None:
    assert AnthropicModel("claude-sonnet-5-5", api_key=KEY).cost(Usage()) == 0
    assert (
        AnthropicModel("claude-sonnet-5-5", api_key=KEY, base_url="http://localhost:1").cost(Usage()) is None
    )


def test_the_price_data_says_where_and_when_it_is_from() -> None:
    assert re.fullmatch(
        r"genai-prices \d+\.\d+\.\d+ \(data checked up to 20\d\d-\d\d-\d\d\)", pricing.source()
    )


# --- spelling ----------------------------------------------------------------------------------


def test_specs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    assert load_model(DEFAULT_SPEC).instructions == ToolDialect.instructions
    text = load_model("anthropic+text:qwen3:8b")
    assert (text.name, text.instructions) == ("qwen3:8b", TextDialect.instructions)
    script = tmp_path / "a.jsonl"
    script.write_text('{"answer": "hi"}\n')
    assert isinstance(load_model(f"scripted:{script}"), ScriptedModel)


@pytest.mark.parametrize(
    "spec", ["claude-sonnet-5-5", "openai:gpt", "anthropic:", "anthropic", "", ":x", "scripted: "]
)
def test_an_unknown_spec_lists_the_forms(spec: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_model(spec)
    for word in (repr(spec), "anthropic:NAME", "anthropic+text:NAME", "scripted:FILE.jsonl"):
        assert word in str(caught.value)
