"""Bytes that players read: sound, encoded pictures, containers, playlists."""
