"""Ignore every signal that can be ignored and go on.

ends: timeout
gvisor: blocked
"""

import signal

for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        continue
while True:
    signal.pause()
