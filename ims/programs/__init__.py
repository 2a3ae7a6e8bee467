"""The programs, put together from their parts: ims-web, and every table that migrations know."""
