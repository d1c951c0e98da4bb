"""What is rendered, in which order, and where it is kept. Nothing here imports torch; Ray only in `execute`."""
