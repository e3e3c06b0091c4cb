"""Owns the adapters of the Model seam: Anthropic-compatible endpoints, and scripts."""

from __future__ import annotations

from .scripted import ScriptedModel
from .spec import DEFAULT_SPEC, load_model

__all__ = ["DEFAULT_SPEC", "ScriptedModel", "load_model"]
