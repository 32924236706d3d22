"""Watching runs: `story` turns events into lines, `screen` and `lines` show them, `follow` feeds
them from the server and listens for Ctrl-C."""
