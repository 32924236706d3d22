"""Every environment variable is documented, and the documents say what the code reads."""

import re

import pytest

from core.env import FOREIGN
from core.variables import VARIABLES
from scripts.generate_env import FILES
from tests.architecture.source import LIBRARY, ROOT, modules


@pytest.mark.parametrize("name", sorted(FILES))
def test_the_documents_are_what_the_table_generates(name: str) -> None:
    written = (ROOT / name).read_text(encoding="utf-8")

    assert written == FILES[name](), f"{name} is out of date; run: make env"


def test_every_variable_the_code_names_is_declared() -> None:
    declared = {variable.name for variable in VARIABLES} | FOREIGN
    named = {
        (module.place, name)
        for module in modules(*LIBRARY)
        for name in re.findall(r"[\"'](AGENTRY_[A-Z_]+)[\"']", module.text)
    }

    assert {(place, name) for place, name in named if name not in declared} == set()


def test_every_declared_variable_is_read() -> None:
    texts = [
        module.text
        for module in modules(*LIBRARY)
        if module.place != "core/env.py" and not module.place.startswith("core/variables/")
    ]
    unread = [
        variable.name
        for variable in VARIABLES
        if not any(f'"{variable.name}"' in text for text in texts)
    ]

    assert unread == []


def test_only_the_environment_module_and_programs_read_the_process_environment() -> None:
    """Settings come from the declared table; entry points may set Django's own variable."""
    readers = {
        module.place
        for module in modules(
            "core", "governance", "observability", "sandbox", "plugins", "agents", "agentry_site"
        )
        if re.search(
            r"os\.environ(?!\.setdefault\(\"DJANGO_SETTINGS_MODULE\")|os\.getenv", module.text
        )
    }

    assert readers <= {
        "core/env.py",
        # Set by a test in the environment of the process it is about to kill.
        "core/pausepoints.py",
        # A provider's key, from the variables that AGENTRY_PROVIDER_ENV allows and no other.
        "agents/execution/providers.py",
    }
