"""What any gRPC service on PostgreSQL needs and no service owns. Nothing of money or workflows is in it."""
