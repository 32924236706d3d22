"""The REST API of agents, their providers, sessions and runs."""
