"""`python -m ims.cli`, for whoever has no script `ims`."""

import sys

from ims.cli.main import main

sys.exit(main())
