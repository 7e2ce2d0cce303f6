"""Several processes of one run or of one job, and the signals that stop them."""
