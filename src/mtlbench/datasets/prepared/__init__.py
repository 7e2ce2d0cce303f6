"""Prepared arrays: making, describing, checking and showing them, and the split of held-out scenes."""
