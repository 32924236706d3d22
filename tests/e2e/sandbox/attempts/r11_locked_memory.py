"""Keep memory from being swapped out."""

import ctypes

from tests.e2e.sandbox.attempts.inside import reached, system_call

room = ctypes.create_string_buffer(16 << 20)
result, error = system_call(149, 228, ctypes.byref(room), 16 << 20)
if result == 0:
    reached("locked memory")
print(f"refused: {error}")
