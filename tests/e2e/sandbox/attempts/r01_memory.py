"""Fill the memory with one process.

ends: memory
gvisor: blocked
"""

block = []
while True:
    block.append(b"x" * (8 << 20))
