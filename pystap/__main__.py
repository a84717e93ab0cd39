"""python -m pystap"""

import sys

from pystap.cli import main

sys.exit(main())
