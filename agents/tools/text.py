"""Text as tools see it: decoding, binary detection, numbered lines, bounded results."""

from collections.abc import Sequence

from plugins.errors import ToolError

MAX_RESULT_CHARACTERS = 100_000
MAX_LINE_CHARACTERS = 2_000

_IMAGES = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"\0\0\1\0", "ICO"),
)


def is_binary(head: bytes) -> bool:
    """Tell whether the first bytes of a file hold a NUL, which no text encoding of ours has."""
    return b"\0" in head[:8192]


def refuse_binary(path: str, head: bytes) -> None:
    """Raise `ToolError` when the first bytes of a file are not text."""
    for magic, name in _IMAGES:
        if head.startswith(magic) and (magic != b"BM" or is_binary(head)):
            raise ToolError(f"{path} is an image ({name}); images are not shown as text.")
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        raise ToolError(f"{path} is an image (WebP); images are not shown as text.")
    if is_binary(head):
        raise ToolError(f"{path} is a binary file; only text files can be shown or changed.")


def text_of(path: str, data: bytes) -> str:
    """Decode a file that will be changed; what is not exact UTF-8 is refused, not repaired."""
    refuse_binary(path, data)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ToolError(
            f"{path} is not UTF-8 text (first bad byte in line {line}).",
            remedy="Convert the file first, or write it anew.",
        ) from error


def line_of(text: str, position: int) -> int:
    """Return the number of the line (from 1) that holds a character position."""
    return text.count("\n", 0, position) + 1


def cut_line(line: str, limit: int = MAX_LINE_CHARACTERS) -> str:
    if len(line) <= limit:
        return line
    return f"{line[:limit]} [line cut, {len(line) - limit} more characters]"


def numbered(lines: Sequence[str], first: int) -> str:
    return "\n".join(f"{first + index:>6}\t{line}" for index, line in enumerate(lines))


def bounded(lines: Sequence[str], noun: str, remedy: str, limit: int) -> str:
    """Join at most `limit` lines and the permitted characters; say how much was left out."""
    kept: list[str] = []
    size = 0
    for line in lines[:limit]:
        size += len(line) + 1
        if size > MAX_RESULT_CHARACTERS:
            break
        kept.append(line)
    left = len(lines) - len(kept)
    if left:
        kept.append(f"[truncated, {left} more {noun}; {remedy}]")
    return "\n".join(kept)


def replaced(text: str, old: str, new: str, limit: int) -> tuple[str, int]:
    """Replace every `old`; the size is computed before anything of that size is made."""
    count = text.count(old)
    size = len(text) + count * (len(new) - len(old))
    if size > limit:
        raise ToolError(
            f"The result would be {size} characters; at most {limit} can be written.",
            remedy="Replace less at once.",
        )
    return text.replace(old, new), count
