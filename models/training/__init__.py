"""The loop that fits the networks to examples, and the stages that it runs. Nothing that renders a title imports it."""
