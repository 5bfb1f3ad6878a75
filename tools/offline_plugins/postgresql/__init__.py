"""The offline ``postgresql`` plugin: databases, roles, schemas, grants and default privileges with psycopg.

``declarations`` has the properties that a program may set. The other modules work on the server and are loaded on first
use, so that a preview does not load them.
"""
