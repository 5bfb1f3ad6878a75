"""The offline ``aws`` plugin: settings of S3 buckets with boto3, for any S3 endpoint.

It does not manage buckets and their lifecycle rules: the official plugin can only do so on AWS, so the stack has its
own resources for them.
"""
