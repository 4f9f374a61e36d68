"""``make test-gpu``: what is claimed of GPUs, tried on the machine at hand, part by part."""
