"""The environment variables of the site: one table, from which their pages are generated."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["str", "int", "float", "bool", "list", "path", "url", "secret"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    name: str
    kind: Kind
    default: str
    help: str
    section: str


def _v(section: str, name: str, kind: Kind, default: str, help_: str) -> Variable:
    return Variable(name=name, kind=kind, default=default, help=help_, section=section)


VARIABLES: tuple[Variable, ...] = (
    _v(
        "Site",
        "AGENTRY_ENV",
        "str",
        "dev",
        "`dev` or `production`. Production wants its secret given and refuses debug pages.",
    ),
    _v(
        "Site",
        "AGENTRY_SECRET_KEY",
        "secret",
        "",
        (
            "Signs sessions and seals stored credentials. 50 random characters; required in "
            "production."
        ),
    ),
    _v(
        "Site",
        "AGENTRY_PUBLIC_URL",
        "str",
        "",
        "Where people reach the site, such as `https://agentry.example`; links in messages "
        "begin with it. Empty: messages have no links.",
    ),
    _v(
        "Site",
        "AGENTRY_EMAIL_URL",
        "secret",
        "",
        "The mail server: `smtp+tls://user:password@host:587`, `smtp+ssl://…` or `smtp://…`. "
        "Empty: letters are not sent, and their deliveries say so.",
    ),
    _v("Site", "AGENTRY_EMAIL_FROM", "str", "agentry@localhost", "Whom letters are from."),
    _v(
        "Site",
        "AGENTRY_AUDIT_KEY",
        "secret",
        "",
        (
            "Signs the checkpoints and exports of the audit chains: 40 random characters or more, "
            "the same on every machine. Empty: made once in the data folder (`audit.key`)."
        ),
    ),
    _v(
        "Site",
        "AGENTRY_AUDIT_CHECKPOINT_ENTRIES",
        "int",
        "1000",
        "Entries of an audit chain after which beat signs a checkpoint without waiting longer.",
    ),
    _v(
        "Site",
        "AGENTRY_AUDIT_CHECKPOINT_MINUTES",
        "float",
        "10",
        "Longest time that an entry of an audit chain waits for a signed checkpoint.",
    ),
    _v(
        "Site",
        "AGENTRY_ALLOWED_HOSTS",
        "list",
        "localhost,127.0.0.1,[::1]",
        "Host names the site answers to.",
    ),
    _v(
        "Site",
        "AGENTRY_TRUSTED_ORIGINS",
        "list",
        "",
        ("Origins (scheme and host) that may post forms and open sockets, beside the site's own."),
    ),
    _v(
        "Site",
        "AGENTRY_SECURE_COOKIES",
        "bool",
        "",
        "Send cookies over HTTPS only. Default: on in production, off in dev.",
    ),
    _v(
        "Site",
        "AGENTRY_SIGN_IN_FAILURES",
        "int",
        "10",
        (
            "Failed sign-ins of one account from one address in 15 minutes before more are refused;"
            " ten times as many for an account, for an address and for an address's wrong tokens."
        ),
    ),
    _v(
        "Site",
        "AGENTRY_DATA_DIR",
        "path",
        ".run/data",
        "Folder for the embedded database, run workspaces and collected files.",
    ),
    _v(
        "Site",
        "AGENTRY_LOG_FORMAT",
        "str",
        "console",
        "`console` or `json`.",
    ),
    _v(
        "Site",
        "AGENTRY_LOG_LEVEL",
        "str",
        "INFO",
        "Lowest level that is logged.",
    ),
    _v(
        "Services",
        "DATABASE_URL",
        "url",
        "",
        (
            "PostgreSQL (`postgres://user:password@host:port/name`) or SQLite "
            "(`sqlite:///path`). Empty: SQLite in the data folder."
        ),
    ),
    _v(
        "Services",
        "REDIS_URL",
        "url",
        "",
        ("Redis for broker, live delivery and doorbells. Empty: everything in this one process."),
    ),
    _v(
        "Worker",
        "AGENTRY_ENGINE",
        "str",
        "off",
        ("`embedded` runs the agent engine inside this process; `off` leaves it to workers."),
    ),
    _v(
        "Worker",
        "AGENTRY_WORKER_CAPACITY",
        "int",
        "2000",
        "Runs one worker process drives at the same time.",
    ),
    _v(
        "Worker",
        "AGENTRY_LEASE_SECONDS",
        "float",
        "30",
        "How long a claim on a run holds without renewal.",
    ),
    _v(
        "Worker",
        "AGENTRY_POLL_SECONDS",
        "float",
        "1",
        "How often a worker looks for due work when no doorbell rings.",
    ),
    _v(
        "Worker",
        "AGENTRY_DRAIN_SECONDS",
        "float",
        "20",
        ("How long a stopping worker waits for step boundaries before it releases its runs."),
    ),
    _v(
        "Worker",
        "AGENTRY_MAX_CRASHES",
        "int",
        "5",
        "Crashes of its worker after which a run is parked instead of tried again.",
    ),
    _v(
        "Limits",
        "AGENTRY_REQUEST_SLOTS",
        "int",
        "32",
        "Requests that Django works on at the same time in one server process; others wait.",
    ),
    _v(
        "Limits",
        "AGENTRY_DATABASE_POOL",
        "int",
        "40",
        "Most PostgreSQL connections of one process; 0: no pool, for processes that fork.",
    ),
    _v(
        "Worker",
        "DEMO_ONCE",
        "bool",
        "",
        "`make demo` stops after its run, with the run's exit status.",
    ),
    _v(
        "Limits",
        "AGENTRY_INVOKE_QUEUE",
        "int",
        "20000",
        "Accepted calls waiting for their commit before `invoke` answers 503.",
    ),
    _v(
        "Limits",
        "AGENTRY_INVOKE_WAITS",
        "int",
        "200",
        "Answers of `invoke` one user may have held with `wait` in one process; more get 429.",
    ),
    _v(
        "Limits",
        "AGENTRY_MAX_BODY_BYTES",
        "int",
        "2097152",
        "Largest request body.",
    ),
    _v(
        "Limits",
        "AGENTRY_WORKSPACE_BYTES",
        "int",
        "1073741824",
        "Bytes that the files of a run may have together, for snapshots to be taken of them.",
    ),
    _v(
        "Limits",
        "AGENTRY_WORKSPACE_FILES",
        "int",
        "100000",
        "Files and folders that a run may have, for snapshots to be taken of them.",
    ),
    _v(
        "Limits",
        "AGENTRY_SNAPSHOT_DAYS",
        "float",
        "30",
        (
            "Days after the end of a run for which the files of its checkpoints are kept, so that "
            "it can be forked. 0 keeps them for ever."
        ),
    ),
    _v(
        "Limits",
        "AGENTRY_SNAPSHOT_GRACE_HOURS",
        "float",
        "24",
        (
            "Age in hours below which content that no checkpoint names is not deleted. At least 1, "
            "and more than the clocks of your machines differ."
        ),
    ),
    _v(
        "Limits",
        "AGENTRY_FETCH_ALLOW",
        "list",
        "",
        ("`host:port` pairs the fetch and http tools may reach although their address is private."),
    ),
    _v(
        "Policies",
        "AGENTRY_POLICY_ENGINE",
        "str",
        "embedded",
        (
            "What evaluates policies: `embedded` judges in this machine's own processes, `opa` "
            "puts them on the OPA server at `AGENTRY_OPA_URL` and asks it."
        ),
    ),
    _v(
        "Policies",
        "AGENTRY_POLICY_SECONDS",
        "float",
        "0.25",
        "Longest time that one decision of a policy may take; past it the call is denied.",
    ),
    _v(
        "Policies",
        "AGENTRY_OPA_URL",
        "url",
        "",
        "The OPA server: `http://host:8181`, `https://…`, or `unix:/path/to/socket`.",
    ),
    _v(
        "Policies",
        "AGENTRY_OPA_TOKEN",
        "secret",
        "",
        "Bearer token for the OPA server; it may put policies there and ask for decisions.",
    ),
    _v(
        "Sandboxes",
        "AGENTRY_SANDBOX_DOCKER",
        "str",
        "unix:///var/run/docker.sock",
        (
            "Socket of the Docker engine that runs the `docker` and `gvisor` sandboxes; of this "
            "host only. Whoever opens sandboxes needs it, and nobody else."
        ),
    ),
    _v(
        "Sandboxes",
        "AGENTRY_SANDBOX_ENGINE",
        "str",
        "bubblewrap",
        (
            "Engine of tools that name none: `bubblewrap`, `docker`, `gvisor`, `microvm` or "
            "`landlock`."
        ),
    ),
    _v(
        "Sandboxes",
        "AGENTRY_SANDBOX_IMAGE",
        "str",
        "",
        (
            "Image of those sandboxes, pinned: `name@sha256:…`. Empty: the one made by "
            "`python -m sandbox.images build`."
        ),
    ),
    _v(
        "Sandboxes",
        "AGENTRY_SANDBOX_NET_RANGES",
        "list",
        "",
        (
            "Ranges and addresses of our own networks that exact names in a tool's `net` may lead "
            "to, like `10.20.0.0/16`. Empty: names are public, or their address is listed too."
        ),
    ),
    _v(
        "Sandboxes",
        "AGENTRY_SANDBOX_WORKSPACE_BYTES",
        "int",
        "268435456",
        "Quota of the files of a run that uses sandboxes; a workspace keeps what it began with.",
    ),
    _v(
        "Sandboxes",
        "AGENTRY_SANDBOX_WITHOUT",
        "list",
        "",
        (
            "Limits this site does without, because no engine here holds them: `cpu`, "
            "`memory_bytes`, `pids`, `disk_bytes`. Needed where workers are not root."
        ),
    ),
    _v(
        "Sandboxes",
        "AGENTRY_SANDBOX_DISABLED_ALLOWED",
        "bool",
        "",
        (
            "DANGEROUS: declared commands with the engine `disabled` run without a sandbox, as the "
            "worker's user (never as root). Off: they are refused."
        ),
    ),
    _v(
        "Sandboxes",
        "AGENTRY_SANDBOXES_WARM",
        "int",
        "32",
        "Sandboxes one worker process keeps open at the same time; more calls wait in turn.",
    ),
    _v(
        "Providers",
        "AGENTRY_PROVIDER_ENV",
        "list",
        "OPENAI_API_KEY,OPENAI_KEY,ANTHROPIC_API_KEY,ANTHROPIC_KEY,GEMINI_API_KEY,GOOGLE_API_KEY",
        (
            "Environment variables a provider may name as the source of its key. Nothing "
            "else can be read, and such a key is sent to the vendor's own address only."
        ),
    ),
    _v(
        "Secrets",
        "AGENTRY_SECRET_KEY_FALLBACKS",
        "secret",
        "",
        (
            "Former values of AGENTRY_SECRET_KEY, separated by commas: they still open what they "
            "sealed, until `manage.py secrets rotate-keys` has sealed it anew."
        ),
    ),
    _v(
        "Secrets",
        "AGENTRY_SECRET_SOURCES",
        "list",
        "",
        (
            "Secrets that do not come from the database: `WORKSPACE/NAME=PLACE`, where the place "
            "is `env:VARIABLE` (read from `AGENTRY_SECRET_VARIABLE`), `file:NAME` or "
            "`vault:MOUNT/PATH#FIELD`, and `*` is every workspace."
        ),
    ),
    _v(
        "Secrets",
        "AGENTRY_SECRETS_DIR",
        "path",
        "",
        "Folder of the files that `file:NAME` means.",
    ),
    _v(
        "Secrets",
        "AGENTRY_VAULT_URL",
        "url",
        "",
        "Address of a HashiCorp Vault, or of what answers its API; https, except on loopback.",
    ),
    _v(
        "Secrets",
        "AGENTRY_VAULT_TOKEN",
        "secret",
        "",
        "Token for the vault; instead of it a role may be given.",
    ),
    _v("Secrets", "AGENTRY_VAULT_ROLE_ID", "str", "", "Role to sign in to the vault with."),
    _v("Secrets", "AGENTRY_VAULT_SECRET_ID", "secret", "", "The role's secret id."),
    _v("Secrets", "AGENTRY_VAULT_NAMESPACE", "str", "", "The vault's namespace, where it has any."),
    _v(
        "Secrets",
        "AGENTRY_VAULT_CA_FILE",
        "path",
        "",
        "Certificates (PEM) the vault's has to come from. Empty: the system's.",
    ),
    _v(
        "Secrets",
        "AGENTRY_VAULT_TIMEOUT_SECONDS",
        "float",
        "5",
        "How long the vault may take for one answer.",
    ),
    _v(
        "Secrets",
        "AGENTRY_VAULT_CACHE_SECONDS",
        "float",
        "30",
        "How long an answer of the vault is used before it is asked again; 0: not at all.",
    ),
    _v(
        "Secrets",
        "AGENTRY_REDACTION_PATTERNS",
        "str",
        "",
        (
            "More shapes of secrets to keep out of everything that is written: regular "
            "expressions of bounded length, one a line. See the page on secrets."
        ),
    ),
    _v(
        "Sandboxes",
        "AGENTRY_SANDBOX_SOCKET",
        "path",
        "",
        (
            "Unix socket of this host's sandbox worker (`manage.py sandbox worker`). Empty: a "
            "process that needs sandboxes starts a worker of its own."
        ),
    ),
    _v(
        "Sandboxes",
        "AGENTRY_SANDBOX_GROUP",
        "str",
        "",
        (
            "Group whose members may ask the worker what its host can hold, as a web server of "
            "another user does. Sandboxes are opened by its own user alone, and by root."
        ),
    ),
    _v(
        "Sandboxes",
        "AGENTRY_SANDBOX_MICROVM_KERNEL",
        "path",
        "",
        "Uncompressed Linux kernel that the `microvm` engine starts its machines with.",
    ),
    _v(
        "Sandboxes",
        "AGENTRY_SANDBOX_MICROVM_DISK",
        "path",
        "",
        "Root disk (ext4, read-only) of those machines, with Python and the session agent.",
    ),
    _v(
        "Sandboxes",
        "AGENTRY_SANDBOX_AT_MOST",
        "int",
        "64",
        "Sandboxes one worker has open at the same time; others wait in turn.",
    ),
    _v(
        "Sandboxes",
        "AGENTRY_SANDBOX_WAIT_SECONDS",
        "float",
        "60",
        "How long an opening waits for a place before it is refused.",
    ),
    _v(
        "Sandboxes",
        "AGENTRY_SANDBOX_DRAIN_SECONDS",
        "float",
        "20",
        "How long a stopping sandbox worker lets calls run on before it ends them.",
    ),
)
