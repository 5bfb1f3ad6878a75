"""PostgreSQL: database, roles, schemas, grants and tables of the mapping."""
