"""The machine: files, errors, the console, processes, leases, the cluster.

Nothing here knows what a model, a cell or an experiment is.
"""
