"""Set the clock.

control: yes
gvisor: blocked
"""

from tests.e2e.sandbox.attempts.inside import must_be_refused

must_be_refused("clock_settime", 227, 112, 0, 0)
must_be_refused("settimeofday", 164, 170, 0, 0)
must_be_refused("adjtimex", 159, 171, 0)
must_be_refused("clock_adjtime", 305, 266, 0, 0)
