"""From decoded frames to frames of the size asked for: the restored face, the enlarged picture, the still plate."""
