"""The offline ``kubernetes`` plugin: renders each object into a file, like the official one with
``renderYamlToDirectory``. Unlike it, a refresh detects changed and removed files. Contacts no cluster.
"""
