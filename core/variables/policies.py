"""What evaluates policies, and for how long."""

from core.variables.variable import section

POLICIES = section(
    "Policies",
    (
        "AGENTRY_POLICY_ENGINE",
        "str",
        "embedded",
        (
            "What evaluates policies: `embedded` judges in this machine's own processes, `opa` "
            "puts them on the OPA server at `AGENTRY_OPA_URL` and asks it."
        ),
    ),
    (
        "AGENTRY_POLICY_SECONDS",
        "float",
        "0.25",
        "Longest time that one decision of a policy may take; past it the call is denied.",
    ),
    (
        "AGENTRY_OPA_URL",
        "url",
        "",
        "The OPA server: `http://host:8181`, `https://…`, or `unix:/path/to/socket`.",
    ),
    (
        "AGENTRY_OPA_TOKEN",
        "secret",
        "",
        "Bearer token for the OPA server; it may put policies there and ask for decisions.",
    ),
)
