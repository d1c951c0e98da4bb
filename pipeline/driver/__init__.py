"""One run: the loop, its lease, its marks, progress, and how it ends."""
