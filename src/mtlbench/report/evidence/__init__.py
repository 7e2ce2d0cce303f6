"""Statistics of the rows: resampled images, intervals, tests, stability, and the published numbers beside them."""
