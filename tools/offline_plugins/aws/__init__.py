"""The offline ``aws`` plugin: settings of S3 buckets on boto3, for any S3 endpoint.

Buckets themselves and their lifecycle are not here: the official plugin cannot make them on other stores than AWS, so
the stack has resources of its own for them.
"""
