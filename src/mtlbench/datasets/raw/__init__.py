"""Raw files: where they come from, how they are fetched, and reading packages of many members."""
