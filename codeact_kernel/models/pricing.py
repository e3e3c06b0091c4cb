"""Owns what a model call costs: US dollars from the price data of `genai-prices`, or None.

The library matches names loosely (`claude-opus-4-88` finds Opus 4.8), so a price counts only for a
model's exact name, with or without its date. The data ships with the library: no network.
"""

from __future__ import annotations

import re
from datetime import date

import genai_prices
from genai_prices.data_snapshot import get_snapshot

from codeact_kernel.trajectory import Usage

PROVIDER = "anthropic"
HOST = "api.anthropic.com"
"""Only what this host bills has a price we know."""

_SUFFIX = re.compile(r"(-0)?([-@]\d{8}|-latest)?$")
_DATE = re.compile(r"(?:checked|as of)\b[^.;]{0,80}?\b(\d{4}-\d{2}-\d{2})")


def cost(model: str, usage: Usage) -> float | None:
    """US dollars for the usage of *one* request, at today's prices; None when no price is known.

    Args:
        model: the name at Anthropic. Long-prompt prices apply by `usage.prompt`, which is why the
            usages of several requests must be priced one by one.
    """
    # genai_prices counts cached tokens among the input tokens; our Usage keeps the three apart.
    counted = genai_prices.Usage(
        input_tokens=usage.prompt,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        output_tokens=usage.output_tokens,
    )
    try:
        price = genai_prices.calc_price(counted, model, provider_id=PROVIDER)
    except LookupError:
        return None
    return float(price.total_price) if _same(model, price.model.id) else None


def source() -> str:
    """Where prices come from: library, version, and the newest date its data says it was checked."""
    version = f"genai-prices {genai_prices.__version__}"
    checked = _checked()
    return f"{version} (data checked up to {checked.isoformat()})" if checked else version


def _same(name: str, known: str) -> bool:
    return _SUFFIX.sub("", name) == _SUFFIX.sub("", known)


def _checked() -> date | None:
    """The data carries no date of its own, but its comments say when prices were checked."""
    dates: list[str] = []
    for provider in get_snapshot().providers:
        comments = [provider.price_comments, *(model.price_comments for model in provider.models)]
        dates += _DATE.findall(" ".join(comment for comment in comments if comment))
    return max(map(date.fromisoformat, dates), default=None)
