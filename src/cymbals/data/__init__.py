"""From raw events to `Interactions`: ids, CSR matrices, times, readers, splits, weighting."""
