"""`python -m postloop_streams ROLE`."""

import gc
import sys

# The imports make a hundred thousand objects that stay: looking among them for garbage took a quarter of the start.
gc.disable()

from postloop_streams.worker import main  # noqa: E402

sys.exit(main(sys.argv[1:]))
