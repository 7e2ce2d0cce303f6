"""One file is one dataset; beside them what they share: raw files, prepared arrays, geometry, rendered scenes."""
