"""The ways to isolate work, one package each, and what they have in common."""
