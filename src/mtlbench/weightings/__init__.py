"""One file is one weighting: how the losses or gradients of several tasks become one update."""
