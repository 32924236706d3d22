"""Print the environment, where secrets of the host would be.

control: yes
gvisor: blocked
"""

import os

print(dict(os.environ))
