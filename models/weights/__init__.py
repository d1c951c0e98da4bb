"""From files to networks: which file holds which tensors, how they are read with care, and weights made by rule."""
