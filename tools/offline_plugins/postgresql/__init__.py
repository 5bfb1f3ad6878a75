"""The offline ``postgresql`` plugin: databases, roles, schemas, grants and default privileges on psycopg.

``declarations`` says what a program may write; the other modules work on the server and are loaded when one is
needed, so that a preview starts without them.
"""
