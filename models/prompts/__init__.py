"""From the words of a prompt to the embedding that the text branch takes."""
