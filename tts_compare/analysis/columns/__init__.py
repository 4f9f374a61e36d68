"""The entries of the table of metrics, by what they are of."""
