"""Owns the doors: Python API, command line."""
