"""What clients see of the service, in both protocols and over every store."""
