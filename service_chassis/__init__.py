"""The parts that both gRPC services share. They know nothing about money or workflows."""
