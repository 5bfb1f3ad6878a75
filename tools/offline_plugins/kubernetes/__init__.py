"""The offline ``kubernetes`` plugin: renders each object into a file, as the official one does with
``renderYamlToDirectory``. Unlike that it finds by refresh that a file was changed or removed. It talks to no cluster.
"""
