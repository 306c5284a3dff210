"""gRPC: the server, the guard around each call, decoding, field parsing, and errors as statuses."""
