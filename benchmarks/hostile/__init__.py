"""`python -m benchmarks.hostile`: files that nobody should trust, made on the spot, and what becomes of them."""
