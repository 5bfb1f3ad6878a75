"""The object store: buckets with versioning and lifecycle, as the mapping says."""
