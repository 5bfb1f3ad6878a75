"""The object store: buckets with versioning and lifecycle rules, users and policies of the mapping."""
