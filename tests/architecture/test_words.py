"""Names and words we do not use: drawers without a label, and promises instead of work."""

import re
import subprocess

from tests.architecture.source import LIBRARY, ROOT, modules

DRAWERS = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers", "stuff"}

# Spelled in halves, so that this file passes its own test.
PROMISES = re.compile(
    "|".join(rf"\b{a}{b}\b" for a, b in (("TO", "DO"), ("FIX", "ME"), ("XX", "X"), ("HA", "CK")))
)
TEXT = {
    ".py", ".sh", ".md", ".toml", ".yml", ".yaml", ".html", ".js", ".css", ".txt", ".cfg", "",
}  # fmt: skip


def test_no_module_is_a_drawer_without_a_label() -> None:
    drawers = [
        module.place
        for module in modules(*LIBRARY, "tests")
        if DRAWERS & set(module.name.split("."))
    ]

    assert drawers == []


def test_no_file_promises_work_for_later() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    found = []
    for name in listed:
        path = ROOT / name
        if path.suffix not in TEXT or "vendor" in path.parts or not path.is_file():
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if PROMISES.search(line):
                found.append(f"{name}:{number}")

    assert found == []
