"""Importing the earlier tool's `.agentry.yaml` and role files: what can be carried over becomes
documents, the rest is named with its place; nothing is dropped in silence."""
