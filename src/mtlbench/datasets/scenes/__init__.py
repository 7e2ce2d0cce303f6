"""Procedural rooms: solids, how a room is furnished with them, and ray casting with exact maps."""
