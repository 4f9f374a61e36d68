"""``python -m tts_compare`` is the console script."""

from tts_compare.cli import main

raise SystemExit(main())
