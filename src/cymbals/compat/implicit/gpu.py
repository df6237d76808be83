"""Programs ask here whether they can use a GPU. cymbals computes on the CPU only."""

HAS_CUDA = False
