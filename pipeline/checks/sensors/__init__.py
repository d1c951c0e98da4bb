"""Networks that had no part in making a film: in an environment and a process of their own."""
