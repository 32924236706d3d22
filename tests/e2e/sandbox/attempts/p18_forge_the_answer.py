"""Write into the session agent's own channel.

gvisor: ends
"""

from tests.e2e.sandbox.attempts.inside import attempt, reached

line = b'{"done": 1, "ended_by": "exit", "exit_code": 0, "signal": null, "is_truncated": false}\n'
for number in range(8):
    channel = attempt(open, f"/proc/1/fd/{number}", "wb")
    if channel is not None:
        channel.write(line)
        reached(number)
