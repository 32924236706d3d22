"""The services a site may use instead of what is embedded."""

from core.variables.variable import section

SERVICES = section(
    "Services",
    (
        "DATABASE_URL",
        "url",
        "",
        (
            "PostgreSQL (`postgres://user:password@host:port/name`) or SQLite "
            "(`sqlite:///path`). Empty: SQLite in the data folder."
        ),
    ),
    (
        "REDIS_URL",
        "url",
        "",
        "Redis for broker, live delivery and doorbells. Empty: everything in this one process.",
    ),
)
