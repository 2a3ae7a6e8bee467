"""`python -m ims.cli`, for environments without the script `ims`."""

import sys

from ims.cli.main import main

sys.exit(main())
