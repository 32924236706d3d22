"""The REST API of tools and of the effect ledger."""
