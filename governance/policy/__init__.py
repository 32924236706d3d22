"""Which calls are allowed, asked about or denied: the question, the answer, and who gives it.

Everything here is a pure function of a policy's text and one call: no rows, no clock, no settings
of the site. Who may edit policies, and what becomes of a question to people, lives elsewhere.
"""
