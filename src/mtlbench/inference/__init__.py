"""Trained networks in use: found by a cell's name or a file, asked about pictures, drawn, exported, described."""
