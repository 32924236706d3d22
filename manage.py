#!/usr/bin/env python
"""Run a management command of the site."""

import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentry_site.settings.base")
    from agentry_site.command_line import main

    main(sys.argv)
