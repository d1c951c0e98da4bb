"""Sound as people send it: what a file says of itself, what of it is sound, and how much of that there is."""
