"""Start the desktop app: python examples/desktop/app.py [BUNDLE]; `--help` says more.

`rim_edge` is imported for its demo's bundle, which thereby goes into a frozen app. Give your own app a bundle of
its own and leave the line out.
"""

import sys

from rim_desktop.application import main

import rim_edge  # noqa: F401

if __name__ == "__main__":
    sys.exit(main(sys.argv))
