"""A package that extends tts-compare by entry points alone; nothing in tts-compare names it."""
