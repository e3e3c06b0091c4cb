"""Owns the parts of `benchmarks/context.py`: tasks, channels, tokens, the plot."""
