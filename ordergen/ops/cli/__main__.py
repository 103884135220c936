"""`python -m ordergen.ops.cli`: the command where it is not installed, or of this very Python."""

import sys

from ordergen.ops.cli import main

sys.exit(main())
