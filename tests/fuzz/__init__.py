"""Hostile messages of every size for every RPC of both services, sent to real processes."""
