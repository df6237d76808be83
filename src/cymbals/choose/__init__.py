"""Choosing settings: search spaces, trials, their journal."""
