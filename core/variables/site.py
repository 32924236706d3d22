"""Who the site is: its address, mail, keys of its own, cookies, logs and data folder."""

from core.variables.variable import section

SITE = section(
    "Site",
    (
        "AGENTRY_ENV",
        "str",
        "dev",
        "`dev` or `production`. Production wants its secret given and refuses debug pages.",
    ),
    (
        "AGENTRY_SECRET_KEY",
        "secret",
        "",
        (
            "Signs sessions and seals stored credentials. 50 random characters; required in "
            "production."
        ),
    ),
    (
        "AGENTRY_PUBLIC_URL",
        "str",
        "",
        (
            "Where people reach the site, such as `https://agentry.example`; links in messages "
            "begin with it. Empty: messages have no links."
        ),
    ),
    (
        "AGENTRY_EMAIL_URL",
        "secret",
        "",
        (
            "The mail server: `smtp+tls://user:password@host:587`, `smtp+ssl://…` or "
            "`smtp://…`. Empty: letters are not sent, and their deliveries say so."
        ),
    ),
    (
        "AGENTRY_EMAIL_FROM",
        "str",
        "agentry@localhost",
        "Whom letters are from.",
    ),
    (
        "AGENTRY_AUDIT_KEY",
        "secret",
        "",
        (
            "Signs the checkpoints and exports of the audit chains: 40 random characters or "
            "more, the same on every machine. Empty: made once in the data folder "
            "(`audit.key`)."
        ),
    ),
    (
        "AGENTRY_AUDIT_CHECKPOINT_ENTRIES",
        "int",
        "1000",
        "Entries of an audit chain after which beat signs a checkpoint without waiting longer.",
    ),
    (
        "AGENTRY_AUDIT_CHECKPOINT_MINUTES",
        "float",
        "10",
        "Longest time that an entry of an audit chain waits for a signed checkpoint.",
    ),
    (
        "AGENTRY_ALLOWED_HOSTS",
        "list",
        "localhost,127.0.0.1,[::1]",
        "Host names the site answers to.",
    ),
    (
        "AGENTRY_TRUSTED_ORIGINS",
        "list",
        "",
        "Origins (scheme and host) that may post forms and open sockets, beside the site's own.",
    ),
    (
        "AGENTRY_SECURE_COOKIES",
        "bool",
        "",
        "Send cookies over HTTPS only. Default: on in production, off in dev.",
    ),
    (
        "AGENTRY_SIGN_IN_FAILURES",
        "int",
        "10",
        (
            "Failed sign-ins of one account from one address in 15 minutes before more are "
            "refused; ten times as many for an account, for an address and for an address's "
            "wrong tokens."
        ),
    ),
    (
        "AGENTRY_DATA_DIR",
        "path",
        ".run/data",
        "Folder for the embedded database, run workspaces and collected files.",
    ),
    (
        "AGENTRY_LOG_FORMAT",
        "str",
        "console",
        "`console` or `json`.",
    ),
    (
        "AGENTRY_LOG_LEVEL",
        "str",
        "INFO",
        "Lowest level that is logged.",
    ),
)
