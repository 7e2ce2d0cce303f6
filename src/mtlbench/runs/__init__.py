"""What is there: finished results with their manifests, the store that holds them, and the state of a grid.

Nothing here decides what is wanted (``plan``) or trains (``training``).
"""
