"""Results for other people: a folder with all of an experiment, and a page that ranks rows of several such folders."""
