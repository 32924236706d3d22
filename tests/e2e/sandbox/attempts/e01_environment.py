"""Print the environment, where secrets of the host would be.

control: yes
"""

import os

print(dict(os.environ))
