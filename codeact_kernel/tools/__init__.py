"""Owns tools as the host sees them: definition, validation, running."""
