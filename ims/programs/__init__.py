"""The programs, assembled from their parts, and the list of all tables for the migrations."""
