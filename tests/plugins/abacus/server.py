"""The Abacus server: the embedded one, which needs no weights."""

from __future__ import annotations

import argparse
import sys

from tts_compare.selftest import server

if __name__ == "__main__":
    flags = argparse.ArgumentParser(allow_abbrev=False)
    flags.add_argument("--load", required=True)
    flags.add_argument("--dtype", required=True)
    _, rest = flags.parse_known_args()
    sys.exit(server.main(rest))
