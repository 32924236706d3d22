"""How workers claim, renew and leave runs."""

from core.variables.variable import section

WORKER = section(
    "Worker",
    (
        "AGENTRY_ENGINE",
        "str",
        "off",
        "`embedded` runs the agent engine inside this process; `off` leaves it to workers.",
    ),
    (
        "AGENTRY_WORKER_CAPACITY",
        "int",
        "2000",
        "Runs one worker process drives at the same time.",
    ),
    (
        "AGENTRY_LEASE_SECONDS",
        "float",
        "30",
        "How long a claim on a run holds without renewal.",
    ),
    (
        "AGENTRY_POLL_SECONDS",
        "float",
        "1",
        "How often a worker looks for due work when no doorbell rings.",
    ),
    (
        "AGENTRY_DRAIN_SECONDS",
        "float",
        "20",
        "How long a stopping worker waits for step boundaries before it releases its runs.",
    ),
    (
        "AGENTRY_MAX_CRASHES",
        "int",
        "5",
        "Crashes of its worker after which a run is parked instead of tried again.",
    ),
    (
        "DEMO_ONCE",
        "bool",
        "",
        "`make demo` stops after its run, with the run's exit status.",
    ),
)
