"""Where untrusted work runs, and what holds it there."""

from core.variables.variable import section

SANDBOXES = section(
    "Sandboxes",
    (
        "AGENTRY_SANDBOX_DOCKER",
        "str",
        "unix:///var/run/docker.sock",
        (
            "Socket of the Docker engine that runs the `docker` and `gvisor` sandboxes; of "
            "this host only. Whoever opens sandboxes needs it, and nobody else."
        ),
    ),
    (
        "AGENTRY_SANDBOX_ENGINE",
        "str",
        "bubblewrap",
        (
            "Engine of tools that name none: `bubblewrap`, `docker`, `gvisor`, `microvm` or "
            "`landlock`."
        ),
    ),
    (
        "AGENTRY_SANDBOX_IMAGE",
        "str",
        "",
        (
            "Image of those sandboxes, pinned: `name@sha256:…`. Empty: the one made by `python "
            "-m sandbox.images build`."
        ),
    ),
    (
        "AGENTRY_SANDBOX_NET_RANGES",
        "list",
        "",
        (
            "Ranges and addresses of our own networks that exact names in a tool's `net` may lead "
            "to, like `10.20.0.0/16`. Empty: names are public, or their address is listed too."
        ),
    ),
    (
        "AGENTRY_SANDBOX_WORKSPACE_BYTES",
        "int",
        "268435456",
        "Quota of the files of a run that uses sandboxes; a workspace keeps what it began with.",
    ),
    (
        "AGENTRY_SANDBOX_WITHOUT",
        "list",
        "",
        (
            "Limits this site does without, because no engine here holds them: `cpu`, "
            "`memory_bytes`, `pids`, `disk_bytes`. Needed where workers are not root."
        ),
    ),
    (
        "AGENTRY_SANDBOX_DISABLED_ALLOWED",
        "bool",
        "",
        (
            "DANGEROUS: declared commands with the engine `disabled` run without a sandbox, as "
            "the worker's user (never as root). Off: they are refused."
        ),
    ),
    (
        "AGENTRY_SANDBOXES_WARM",
        "int",
        "32",
        "Sandboxes one worker process keeps open at the same time; more calls wait in turn.",
    ),
    (
        "AGENTRY_SANDBOX_SOCKET",
        "path",
        "",
        (
            "Unix socket of this host's sandbox worker (`manage.py sandbox worker`). Empty: a "
            "process that needs sandboxes starts a worker of its own."
        ),
    ),
    (
        "AGENTRY_SANDBOX_GROUP",
        "str",
        "",
        (
            "Group whose members may ask the worker what its host can hold, as a web server of "
            "another user does. Sandboxes are opened by its own user alone, and by root."
        ),
    ),
    (
        "AGENTRY_SANDBOX_MICROVM_KERNEL",
        "path",
        "",
        "Uncompressed Linux kernel that the `microvm` engine starts its machines with.",
    ),
    (
        "AGENTRY_SANDBOX_MICROVM_DISK",
        "path",
        "",
        "Root disk (ext4, read-only) of those machines, with Python and the session agent.",
    ),
    (
        "AGENTRY_SANDBOX_AT_MOST",
        "int",
        "64",
        "Sandboxes one worker has open at the same time; others wait in turn.",
    ),
    (
        "AGENTRY_SANDBOX_WAIT_SECONDS",
        "float",
        "60",
        "How long an opening waits for a place before it is refused.",
    ),
    (
        "AGENTRY_SANDBOX_DRAIN_SECONDS",
        "float",
        "20",
        "How long a stopping sandbox worker lets calls run on before it ends them.",
    ),
)
