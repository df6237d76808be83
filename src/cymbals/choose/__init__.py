"""Chooses the parameters of a model: search spaces, trials, and the journal that records trials in a file."""
