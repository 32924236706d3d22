"""Which of the site's own clients a request says it comes from.

What a request says of itself is shown to people and proves nothing: no rule, no permission and no
limit may depend on it.
"""

_NAMES = {"agentry-cli": "cli", "agentry-python": "sdk"}


def client_of(user_agent: str) -> str:
    """Return `cli` or `sdk` for a User-Agent that begins with the name of one, else nothing."""
    return _NAMES.get(user_agent.partition("/")[0], "")
