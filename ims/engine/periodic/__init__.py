"""What a worker does every few seconds or hours besides its jobs."""
