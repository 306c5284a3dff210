"""The governor and the workflow service together, on an embedded PostgreSQL: `make serve` and `make run`."""
