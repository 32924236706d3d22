"""Secrets without a database: what they are called, how they are named elsewhere, and where a site
may take them from instead of its own rows."""
