"""Built-in tools: what every agent can call without installing anything."""
