"""A tree: everything in a workspace in one list, and the digest that names it.

Entries stand in the order of a walk: a folder before what is in it, names in the order of their
bytes. An entry says how deep it lies instead of its path, so the list of a tree 6,000 folders deep
is as long as any other's. The digest is the SHA-256 of the encoded list; equal trees have equal
digests wherever and whenever they were taken.
"""

import hashlib
from collections.abc import Iterator
from enum import StrEnum
from functools import cached_property

import msgspec

from sandbox.errors import UnsafePathError

_MAGIC = b"agentry-tree-1\n"
_SHOWN_BYTES = 4096
_PERMISSIONS = 0o777


class Kind(StrEnum):
    FOLDER = "folder"
    FILE = "file"
    LINK = "link"


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One name. `depth` 0 is the workspace's own level; `digest` is a file's, `target` a link's."""

    depth: int
    name: bytes
    kind: Kind
    mode: int
    size_bytes: int = 0
    digest: bytes = b""
    target: bytes = b""


class Tree(msgspec.Struct, frozen=True, dict=True):
    entries: tuple[Entry, ...] = ()

    def encoded(self) -> bytes:
        return _MAGIC + msgspec.msgpack.encode(self.entries)

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(self.encoded()).hexdigest()

    @property
    def size_bytes(self) -> int:
        return sum(entry.size_bytes for entry in self.entries)

    @property
    def blobs(self) -> set[str]:
        """The digests of all contents."""
        return {entry.digest.hex() for entry in self.entries if entry.kind is Kind.FILE}


EMPTY = Tree()
_decoder = msgspec.msgpack.Decoder(tuple[Entry, ...])


def decoded(data: bytes) -> Tree:
    """Read an encoded tree back.

    Raises:
        UnsafePathError: It is no tree, or has names that could mean another place.
    """
    if not data.startswith(_MAGIC):
        raise UnsafePathError("This is no list of files.")
    try:
        entries = _decoder.decode(data[len(_MAGIC) :])
    except msgspec.MsgspecError as error:
        raise UnsafePathError(f"This is no list of files: {error}.") from error
    deepest = 0
    for entry in entries:
        if (
            entry.depth < 0
            or entry.depth > deepest
            or entry.name in (b"", b".", b"..")
            or b"/" in entry.name
            or b"\0" in entry.name
            or entry.mode & ~_PERMISSIONS
            or (entry.kind is Kind.FILE and len(entry.digest) != 32)
        ):
            raise UnsafePathError("A list of files has an entry that is none.")
        deepest = entry.depth + (entry.kind is Kind.FOLDER)
    return Tree(entries)


class Listed(msgspec.Struct, frozen=True):
    """An entry with its path as people read it: bytes that are no text are shown escaped, and of a
    path over 4 KiB the middle is left out."""

    path: str
    entry: Entry


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """The names that differ between two trees, each list in the order of the trees."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


def listing(tree: Tree) -> Iterator[Listed]:
    """Go through a tree with the paths of its entries."""
    parents: list[bytes] = []
    for entry in tree.entries:
        del parents[entry.depth :]
        yield Listed(_shown(parents, entry.name), entry)
        if entry.kind is Kind.FOLDER:
            parents.append(entry.name)


def difference(before: Tree, after: Tree) -> Difference:
    """Compare two trees. A folder is changed when its permissions are; also a name whose kind is
    another one now."""
    places: _Places = {}
    old = dict(zip(_order(before, places), before.entries, strict=True))
    added: list[str] = []
    changed: list[str] = []
    seen: set[int] = set()
    for place, listed in zip(_order(after, places), listing(after), strict=True):
        seen.add(place)
        if place not in old:
            added.append(listed.path)
        elif old[place] != listed.entry:
            changed.append(listed.path)
    removed = [
        listed.path
        for place, listed in zip(_order(before, places), listing(before), strict=True)
        if place not in seen
    ]
    return Difference(added=tuple(added), changed=tuple(changed), removed=tuple(removed))


# A place is a number for one path, the same in all trees: paths themselves may be megabytes long.
_Places = dict[tuple[int, bytes], int]


def _order(tree: Tree, places: _Places) -> Iterator[int]:
    parents: list[int] = []
    for entry in tree.entries:
        del parents[entry.depth :]
        key = (parents[-1] if parents else 0, entry.name)
        place = places.setdefault(key, len(places) + 1)
        yield place
        if entry.kind is Kind.FOLDER:
            parents.append(place)


def _shown(parents: list[bytes], name: bytes) -> str:
    whole = b"/".join([*parents, name]) if len(parents) < _SHOWN_BYTES else b""
    if not whole or len(whole) > _SHOWN_BYTES:
        whole = b"/".join([*parents[:8], "…".encode(), name])
    text = whole.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
