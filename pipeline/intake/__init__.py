"""From a manifest to plans: inputs and weights found, counted, hashed and copied."""
