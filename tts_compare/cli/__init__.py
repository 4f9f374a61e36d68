"""argv -> library -> exit status: the only room that prints."""

from tts_compare.cli.main import main

__all__ = ["main"]
