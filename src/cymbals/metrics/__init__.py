"""Ranking metrics and losses, computed from arrays of factors. Nothing here imports a model."""
