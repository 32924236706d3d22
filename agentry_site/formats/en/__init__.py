"""In English: the day first and the month in letters, so that nobody can mistake them."""
