"""One module for each kind of figure; ``all`` draws those of a report."""
