"""Talking to HTTP servers nobody vouches for: one careful client, and tools declared by data."""
