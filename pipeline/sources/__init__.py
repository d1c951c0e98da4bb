"""Files that people name, read with distrust: addresses, portraits, captions, embeddings."""
