"""Stand-ins for model vendors: real HTTP servers that speak and check the vendors' protocols."""
