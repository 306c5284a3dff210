"""Processes: children that end with their parent, and several workers on one port."""
