"""Leave a named pipe as the result, to hang its reader."""

import os

os.mkfifo("/workspace/result")
