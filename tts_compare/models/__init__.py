"""What a model's files say of it: its shape, with true counts, and published facts where the files are not at hand."""
