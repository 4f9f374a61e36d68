"""What an experiment would take before it runs: tokens, hours, dollars, and what fits; pure but for reading files."""
