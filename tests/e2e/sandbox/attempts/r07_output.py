"""Write a gigabyte of output.

ends: output
gvisor: blocked
"""

import os

line = b"y" * 65536
for _ in range(16384):
    os.write(1, line)
