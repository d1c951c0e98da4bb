"""In which numbers and on which devices a network computes: half precision, 8 bits, compiled, on two devices."""
