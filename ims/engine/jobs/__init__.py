"""The jobs of a worker, one module for each domain."""
