"""Small real image sets that lie inside installed packages: finding their files, and reading them as domains."""
