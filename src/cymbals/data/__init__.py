"""Reads raw events and makes `Interactions` of them: ids, CSR matrices, times, readers, splits, weighting."""
