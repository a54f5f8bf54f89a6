"""How messages of topics reach their endpoints."""
