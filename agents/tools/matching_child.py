"""The child process that runs a model's regular expression. Standard library only; see `matching`.

Each message, in both directions, is a length (4 bytes, big-endian) and that much JSON.
"""

import json
import re
import resource
import struct
import sys
from typing import Any

CPU_SECONDS = 8
MEMORY_BYTES = 512 * 1024 * 1024
MAX_TEXT_CHARACTERS = 16 * 1024 * 1024


def limit() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def compiled(question: dict[str, Any]) -> re.Pattern[str]:
    pattern = re.escape(question["pattern"]) if question["literal"] else question["pattern"]
    return re.compile(pattern, re.MULTILINE | (re.IGNORECASE if question["ignore_case"] else 0))


def replaced(expression: re.Pattern[str], text: str, replacement: str) -> dict[str, Any]:
    """Replace every match; the limit on memory ends what grows without bound."""
    result, count = expression.subn(replacement, text)
    if len(result) > MAX_TEXT_CHARACTERS:
        raise MemoryError
    return {"text": result, "count": count}


def answer(expression: re.Pattern[str], question: dict[str, Any]) -> dict[str, Any]:
    text = question["text"]
    if question["do"] == "lines":
        lines = text.split("\n")
        return {"lines": [index for index, line in enumerate(lines) if expression.search(line)]}
    return replaced(expression, text, question["replacement"])


def main() -> None:
    limit()
    expression = re.compile("")
    while head := sys.stdin.buffer.read(4):
        question = json.loads(sys.stdin.buffer.read(struct.unpack(">I", head)[0]))
        try:
            if question["do"] == "compile":
                expression = compiled(question)
                reply: dict[str, Any] = {}
            else:
                reply = answer(expression, question)
        except (re.error, OverflowError, RecursionError, IndexError) as error:
            reply = {"error": f"The regular expression or its replacement is not valid: {error}."}
        except MemoryError:
            reply = {"error": f"The result would be longer than {MAX_TEXT_CHARACTERS} characters."}
        data = json.dumps(reply).encode()
        sys.stdout.buffer.write(struct.pack(">I", len(data)) + data)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
