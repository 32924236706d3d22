"""The addresses and names of the stage, and what may be seen there."""

ALLOWED, EVIL, NAMES, PRIVATE = "198.51.100.10", "198.51.100.11", "198.51.100.53", "10.66.0.1"
METADATA, VERSION_6, OWN = "169.254.169.254", "2001:db8::10", "198.51.100.1"
PORTS = (22, 80, 443, 5432)
CANARY_PORT = 7799  # a service of the host itself: on loopback and on its own address
SECRET = "Bearer canary-9d2f7c44"

DATABASES = frozenset({f"{ALLOWED}:5432", f"{PRIVATE}:5432"})

# What the internet's name server answers, in this order; a list of lists answers in turn.
TABLE: dict[str, list[list[str]]] = {
    "allowed.test": [[ALLOWED]],
    "bound.test": [[ALLOWED]],
    "www.suffix.test": [[ALLOWED]],
    "suffix.test": [[EVIL]],
    "evilsuffix.test": [[EVIL]],
    "evil.test": [[EVIL]],
    "allowed.test.evil.test": [[EVIL]],
    "secret.evil.test": [[EVIL]],
    "rebind.test": [[METADATA]],
    "flip.test": [[ALLOWED], [METADATA]],
    "mixed.test": [[PRIVATE, ALLOWED]],
    "private.suffix.test": [[PRIVATE]],
    "inside.test": [[PRIVATE]],
    "named.test": [[PRIVATE]],
    "loop.test": [["127.0.0.1"]],
    "six.test": [[VERSION_6]],
    "mapped.test": [[f"::ffff:{METADATA}"]],
}

NET = (
    "allowed.test:443", "allowed.test:80", "allowed.test:5432", "bound.test:443", "bound.test:80",
    "*.suffix.test:80", "*.suffix.test:443", "rebind.test:80", "flip.test:80", "mixed.test:80",
    "mapped.test:80", f"loop.test:{CANARY_PORT}", "inside.test:80",
    "named.test:5432", f"{PRIVATE}:5432",
)  # fmt: skip

# Names that may be looked up: those the list allows, wherever they lead.
LOOKED_UP = frozenset(
    {"allowed.test", "bound.test", "www.suffix.test", "private.suffix.test", "rebind.test",
     "flip.test", "mixed.test", "mapped.test", "loop.test", "inside.test", "named.test"}
)  # fmt: skip
SPOKEN_TO = frozenset({"allowed.test", "bound.test", "www.suffix.test", "flip.test"})


def is_allowed(entry: dict[str, str]) -> bool:
    """Say whether something the internet saw is what the list allows."""
    if entry["what"] == "name":
        return entry["name"] in LOOKED_UP
    if entry["what"] == "connection":
        return entry["at"] in {f"{ALLOWED}:80", f"{ALLOWED}:443", *DATABASES}
    if entry["what"] == "request":
        is_tls_port = entry["at"].endswith(":443")
        has_secret = "canary" in entry["head"]
        return (
            entry["host"].partition(":")[0] in SPOKEN_TO
            and (entry["server_name"] in SPOKEN_TO if is_tls_port else entry["server_name"] == "")
            and (not has_secret or entry["host"] == "bound.test")
        )
    if entry["what"] == "hello":
        return entry["server_name"] in SPOKEN_TO
    return entry["what"] == "greeting" and entry["at"] in DATABASES
