"""Which image a container sandbox starts from, and what names are good enough.

A tag says what somebody called an image at some time; only a digest says what is in it. So a name
carries its digest, or is the tag of the image that this release makes itself.
"""

import re
from dataclasses import dataclass

from sandbox.errors import SandboxRefusedError
from sandbox.images import recipe

LOCAL = "agentry-sandbox"
_PINNED = re.compile(r"[a-z0-9][a-z0-9._/:-]*@sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """`name` as the engine is asked for it."""

    name: str
    is_local: bool

    @property
    def remedy(self) -> str:
        """Say how the image gets to this host."""
        if self.is_local:
            return "Make it: python -m sandbox.images build."
        return f"Fetch it: docker pull {self.name}."


def local_tag() -> str:
    """Return the name of the image this release makes."""
    return f"{LOCAL}:{recipe.digest()}"


def named(name: str) -> Image:
    """Return the image of a configured name; empty is the one made here.

    Raises:
        SandboxRefusedError: The name says a tag where a digest is needed.
    """
    if name in {"", local_tag()}:
        return Image(name=local_tag(), is_local=True)
    if not _PINNED.fullmatch(name):
        raise SandboxRefusedError(
            f"The sandbox image {name!r} is not pinned to its content.",
            remedy="Name it with its digest in AGENTRY_SANDBOX_IMAGE: image@sha256:…",
        )
    return Image(name=name, is_local=False)
