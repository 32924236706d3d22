"""Boot another kernel."""

from tests.e2e.sandbox.attempts.inside import must_be_refused

must_be_refused("kexec_load", 246, 104, 0, 0, 0, 0)
must_be_refused("kexec_file_load", 320, 294, -1, -1, 0, 0, 0)
