"""Owns the agent, wired: the Python API."""
