"""The engine modules of a worker, one Python module for each subject; `catalogue` lists them all."""
