"""One file is one task: its loss, its additive statistics, its metrics and how it is drawn."""
