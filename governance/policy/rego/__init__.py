"""Rego in a process beside this one: checked when loaded, judged under a deadline.

The library behind it backtracks in patterns, ends its process on some long texts, and lets what it
cannot evaluate vanish from a rule. So it never runs in a process that does anything else, what it
would pass over in silence is refused when a policy is loaded, and every other answer than a
well-formed decision denies.
"""
