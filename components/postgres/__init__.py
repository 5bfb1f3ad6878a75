"""PostgreSQL: database, roles, schemas, grants and tables, as the mapping says."""
