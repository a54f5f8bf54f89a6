"""The wire protocols: AWS JSON 1.0, and Query with its XML."""
