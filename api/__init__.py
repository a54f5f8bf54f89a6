"""The HTTP edge: wire protocols, operations, error codes, queue URLs, command line."""
