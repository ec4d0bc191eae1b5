"""`python -m postloop.embedded.chserver`."""

import sys

from postloop.embedded.chserver.command import main

sys.exit(main())
