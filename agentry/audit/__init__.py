"""Checking what a site says of itself, away from the site: nothing is asked but files and keys."""
