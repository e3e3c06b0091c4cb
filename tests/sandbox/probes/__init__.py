"""Owns the attacks: snippets that have full control of the kernel process, judged from the host."""
