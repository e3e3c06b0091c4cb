"""Owns the adapters to language models. Adapters never import each other."""
