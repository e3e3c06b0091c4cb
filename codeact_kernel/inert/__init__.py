"""Owns what of untrusted output is inert: nothing in it runs, loads, leaves its place or is clicked into.

Pure functions, each a fixed point: what went through once goes through unchanged.
"""
