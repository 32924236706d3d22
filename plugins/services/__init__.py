"""What people ask of tools and calls."""
