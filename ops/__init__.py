"""What runs Tributary's database: a PostgreSQL cluster with automatic failover."""
