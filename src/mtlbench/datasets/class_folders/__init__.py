"""Folders of pictures by class: listing them, splitting them, and reading a picture at a stated size."""
