"""The jobs that a worker does, one module for each domain."""
