"""Records -> samples -> outcomes: what each answer took, whatever calls and attempts it needed."""
