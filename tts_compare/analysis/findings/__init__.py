"""What the figures say: frontiers, pairs, claims, warnings, objectives, and one run against another."""
