"""The trace viewer as one HTML file that works from disk."""
