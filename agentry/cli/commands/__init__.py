"""The commands, one noun a file; each registers its own with the program."""
