"""Where secrets of workspaces come from, and what is kept out of everything written."""

from core.variables.variable import section

SECRETS = section(
    "Secrets",
    (
        "AGENTRY_SECRET_KEY_FALLBACKS",
        "secret",
        "",
        (
            "Former values of AGENTRY_SECRET_KEY, separated by commas: they still open what "
            "they sealed, until `manage.py secrets rotate-keys` has sealed it anew."
        ),
    ),
    (
        "AGENTRY_SECRET_SOURCES",
        "list",
        "",
        (
            "Secrets that do not come from the database: `WORKSPACE/NAME=PLACE`, where the "
            "place is `env:VARIABLE` (read from `AGENTRY_SECRET_VARIABLE`), `file:NAME` or "
            "`vault:MOUNT/PATH#FIELD`, and `*` is every workspace."
        ),
    ),
    (
        "AGENTRY_SECRETS_DIR",
        "path",
        "",
        "Folder of the files that `file:NAME` means.",
    ),
    (
        "AGENTRY_VAULT_URL",
        "url",
        "",
        "Address of a HashiCorp Vault, or of what answers its API; https, except on loopback.",
    ),
    (
        "AGENTRY_VAULT_TOKEN",
        "secret",
        "",
        "Token for the vault; instead of it a role may be given.",
    ),
    (
        "AGENTRY_VAULT_ROLE_ID",
        "str",
        "",
        "Role to sign in to the vault with.",
    ),
    (
        "AGENTRY_VAULT_SECRET_ID",
        "secret",
        "",
        "The role's secret id.",
    ),
    (
        "AGENTRY_VAULT_NAMESPACE",
        "str",
        "",
        "The vault's namespace, where it has any.",
    ),
    (
        "AGENTRY_VAULT_CA_FILE",
        "path",
        "",
        "Certificates (PEM) the vault's has to come from. Empty: the system's.",
    ),
    (
        "AGENTRY_VAULT_TIMEOUT_SECONDS",
        "float",
        "5",
        "How long the vault may take for one answer.",
    ),
    (
        "AGENTRY_VAULT_CACHE_SECONDS",
        "float",
        "30",
        "How long an answer of the vault is used before it is asked again; 0: not at all.",
    ),
    (
        "AGENTRY_REDACTION_PATTERNS",
        "str",
        "",
        (
            "More shapes of secrets to keep out of everything that is written: regular "
            "expressions of bounded length, one a line. See the page on secrets."
        ),
    ),
)
