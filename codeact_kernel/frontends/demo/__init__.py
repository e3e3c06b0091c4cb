"""Owns `codeact demo`: the main job on a real database, with a scripted model and no key."""
