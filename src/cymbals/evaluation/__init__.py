"""Evaluates a model on held-out data: metrics, their uncertainty, baselines, early stopping."""
