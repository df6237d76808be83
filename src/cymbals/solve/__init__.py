"""From `Interactions` to factors: the objective, the starting factors, half-steps in the eigenbasis, the fit loop."""
