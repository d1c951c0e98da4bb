"""People drawn by rule, of whom everything is known: the examples that family `mini` learns from."""
