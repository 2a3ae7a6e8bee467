"""What every domain needs: errors, settings, time, the database, the queue."""
