"""Load a program into the kernel.

gvisor: blocked
"""

from tests.e2e.sandbox.attempts.inside import must_be_refused

must_be_refused("bpf", 321, 280, 0, 0, 0)
