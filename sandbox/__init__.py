"""Where untrusted work runs: one contract for all runners, their limits, workspaces and remains.

What may run at all, and who said yes, is decided elsewhere (`governance`, `plugins`).
"""
