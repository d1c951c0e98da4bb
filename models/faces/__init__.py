"""Where a face is in a picture, what of it is skin, eyes and mouth, and how a mended face is pasted back."""
