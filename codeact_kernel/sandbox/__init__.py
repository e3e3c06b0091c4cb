"""Owns the sandbox kernel as the host sees it: start, run, kill, clean up."""
