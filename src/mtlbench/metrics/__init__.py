"""Pure functions from sums of per-image statistics to numbers, and comparisons of such numbers (Delta_m, ranks)."""
