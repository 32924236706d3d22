"""What people ask of agents; one noun a file."""
