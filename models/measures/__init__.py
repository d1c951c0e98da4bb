"""How good a video is, in numbers: of pictures, mouths, faces and expressions; no render needs it."""
