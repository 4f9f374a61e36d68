"""One experiment on a cluster: the batch file of its tasks, what became of them, and their end."""
