"""Owns what both sides of the boundary speak: values, frames, tape entries. Stdlib only."""
