"""What happens to a schema that leaves the mapping, as a preview shows it."""

KEPT = "kept with its tables when it leaves the mapping, as the admin's"
DROPPED = "dropped with its tables when it leaves the mapping"
