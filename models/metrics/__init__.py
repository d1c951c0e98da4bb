"""What `evaluate` measures in finished videos, without any network: numbers of pictures, and their course in time."""
