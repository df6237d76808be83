"""From `Interactions` to factors: the objective, half-steps in the eigenbasis, where a fit starts, the fit loop."""
