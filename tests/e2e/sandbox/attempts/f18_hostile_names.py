"""Leave files whose names are options, escapes, line ends and broken text."""

import os

for name in (b"-rf", b"--", b"a\nb", b"\x1b]0;title\x07", b"\xff\xfe", b" ", b"$(id)", b"x" * 255):
    with open(b"/workspace/" + name, "wb") as file:
        file.write(b"x")
os.makedirs(b"/workspace/\xff/-r", exist_ok=True)
