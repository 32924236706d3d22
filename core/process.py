"""This process: which release it runs, and tuning it for many small objects that live long."""

import gc
from functools import cache
from importlib.metadata import PackageNotFoundError, version


def tune_garbage_collection() -> None:
    """Take what was loaded at the start out of the collector's sight and let it run less often.

    An engine holds some hundred thousand objects that live as long as their runs; with Python's
    defaults a third of its time went into looking at them again and again. Reference counting
    frees nearly everything; cycles wait a little longer.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@cache
def installed_version() -> str:
    """Return the release that is installed, "unknown" for a checkout that is not."""
    try:
        return version("agentry-cloud")
    except PackageNotFoundError:
        return "unknown"
