"""What is wanted: parameters, entries and their options, the grid of cells, keys and every path of the project.

Nothing here trains, reads results or imports torch; a grid of thousands of cells is planned in seconds.
"""
