"""What is rendered, in which order, and where it is kept. Nothing here imports torch; Ray only in `execute`."""

__version__ = "0.1.0"
