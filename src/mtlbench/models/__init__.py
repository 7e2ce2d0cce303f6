"""One file is one architecture: an image batch in, one raw map for each task out. ``blocks`` holds shared parts."""
