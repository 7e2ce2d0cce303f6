"""One cell from its spec to its files: data on the device, the loop, checkpoints, evaluation, outputs."""
