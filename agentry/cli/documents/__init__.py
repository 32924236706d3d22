"""Documents for `apply`: YAML read with the place of every value, checked, and sent."""
