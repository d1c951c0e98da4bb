"""The paper's ablations of patch drop and noise on motion frames (tables 4 to 6), in miniature."""
