"""`python -m tests.bench`, which is what `make bench` runs."""

import sys

from tests.bench.run import main

sys.exit(main())
