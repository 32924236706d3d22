"""How much of everything one process, one request or one run may have."""

from core.variables.variable import section

LIMITS = section(
    "Limits",
    (
        "AGENTRY_REQUEST_SLOTS",
        "int",
        "32",
        "Requests that Django works on at the same time in one server process; others wait.",
    ),
    (
        "AGENTRY_DATABASE_POOL",
        "int",
        "40",
        "Most PostgreSQL connections of one process; 0: no pool, for processes that fork.",
    ),
    (
        "AGENTRY_DATABASE_IDLE_SECONDS",
        "int",
        "30",
        "How long a process that stands still may keep rows locked; 0: not asked of PostgreSQL.",
    ),
    (
        "AGENTRY_INVOKE_QUEUE",
        "int",
        "20000",
        "Accepted calls waiting for their commit before `invoke` answers 503.",
    ),
    (
        "AGENTRY_INVOKE_WAITS",
        "int",
        "200",
        "Answers of `invoke` one user may have held with `wait` in one process; more get 429.",
    ),
    (
        "AGENTRY_MAX_BODY_BYTES",
        "int",
        "2097152",
        "Largest request body.",
    ),
    (
        "AGENTRY_WORKSPACE_BYTES",
        "int",
        "1073741824",
        "Bytes that the files of a run may have together, for snapshots to be taken of them.",
    ),
    (
        "AGENTRY_WORKSPACE_FILES",
        "int",
        "100000",
        "Files and folders that a run may have, for snapshots to be taken of them.",
    ),
    (
        "AGENTRY_SNAPSHOT_DAYS",
        "float",
        "30",
        (
            "Days after the end of a run for which the files of its checkpoints are kept, so "
            "that it can be forked. 0 keeps them for ever."
        ),
    ),
    (
        "AGENTRY_SNAPSHOT_GRACE_HOURS",
        "float",
        "24",
        (
            "Age in hours below which content that no checkpoint names is not deleted. At "
            "least 1, and more than the clocks of your machines differ."
        ),
    ),
    (
        "AGENTRY_FETCH_ALLOW",
        "list",
        "",
        "`host:port` pairs the fetch and http tools may reach although their address is private.",
    ),
)
