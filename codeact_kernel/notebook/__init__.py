"""Owns trajectories on disk: journal, notebook, tape."""
