"""Owns how a model is spelled: `anthropic:NAME`, `anthropic+text:NAME`, `scripted:FILE.jsonl`."""

from __future__ import annotations

from typing import Any, Literal

from codeact_kernel.ahead import import_dear
from codeact_kernel.exceptions import UsageError
from codeact_kernel.interfaces import Model

from .coming import ADAPTER, ComingModel, plain_key
from .scripted import ScriptedModel

DEFAULT_SPEC = "anthropic:claude-sonnet-5-5"
FORMS = {
    "anthropic": "anthropic:NAME (code by a tool call; key from ANTHROPIC_API_KEY)",
    "anthropic+text": "anthropic+text:NAME (code as marked text, for models without tools)",
    "scripted": "scripted:FILE.jsonl (replies from a file)",
}


def load_model(spec: str, *, api_key: str | None = None, base_url: str | None = None) -> Model:
    """The model that `spec` names. Raises UsageError for an unknown form, CredentialsError for no key."""
    kind, colon, rest = spec.partition(":")
    if not colon or not rest.strip() or kind not in FORMS:
        raise UsageError(f"No model is spelled {spec!r}. Write one of: {'; '.join(FORMS.values())}.")
    match kind:
        case "scripted":
            return ScriptedModel.from_file(rest)
        case "anthropic+text":
            return _anthropic(rest, "text", api_key, base_url)
        case _:
            return _anthropic(rest, "tool", api_key, base_url)


def _anthropic(
    name: str, dialect: Literal["tool", "text"], api_key: str | None, base_url: str | None
) -> Model:
    # The SDK takes seconds to import: who runs a script never needs it, and who has a key need not wait.
    if api_key is None and base_url is None and (key := plain_key()) is not None:
        return ComingModel(name, dialect, key)
    module: Any = import_dear(ADAPTER)
    model: Model = module.AnthropicModel(name, dialect=dialect, api_key=api_key, base_url=base_url)
    return model
