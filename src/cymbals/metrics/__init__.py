"""Ranking metrics and losses of arrays. Knows no model."""
