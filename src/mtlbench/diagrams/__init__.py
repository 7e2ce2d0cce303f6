"""Drawings of the architectures, traced from the networks themselves."""
