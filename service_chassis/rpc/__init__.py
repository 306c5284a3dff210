"""gRPC: the server, the guard around each call, decoding, field parsing, and the conversion of errors."""
