"""Models of cymbals in the form that other frameworks expect. Each module needs its framework."""
