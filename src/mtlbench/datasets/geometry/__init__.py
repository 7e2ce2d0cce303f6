"""Cameras, surface normals from depth, and resizing of pictures and maps."""
