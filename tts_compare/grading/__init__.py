"""Grading: a response and a gold answer -> a judgement that names the layer which decided. Rules: docs/grading.md."""
