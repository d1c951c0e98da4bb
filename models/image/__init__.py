"""What is done to pictures by rule, and needs no weights: resize, warp, align, mask, convert colours."""
