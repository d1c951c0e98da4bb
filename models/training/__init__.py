"""Training: procedural portraits, speech, mouth targets, and the loop that fits the networks to them.

Nothing that renders a title imports this package.
"""
