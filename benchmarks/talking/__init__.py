"""What a family's portraits are worth while they talk: rendered as users render, measured by what no family knows."""
