"""Portraits of nobody: blends of several."""
