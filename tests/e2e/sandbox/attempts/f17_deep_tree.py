"""Leave a tree as deep as the disk allows, which breaks careless deletion."""

import os

depth = 0
try:
    while depth < 3000:
        os.mkdir("d")
        os.chdir("d")
        depth += 1
except OSError:
    print(f"refused after {depth}")
