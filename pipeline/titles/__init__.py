"""A title's plan and its hashes, and what the store has of it."""
