"""Price lists: reading them, and keeping what they say beside what they said before."""

from agents.services.prices.importing import (
    MODELS_DEV,
    Imported,
    prices_import_file,
    prices_import_library,
)

__all__ = ["MODELS_DEV", "Imported", "prices_import_file", "prices_import_library"]
