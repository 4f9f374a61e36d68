"""The run directory, a public format: typed files, read and written in one place (docs/run-directory.md)."""
