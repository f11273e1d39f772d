"""Status: what there is now, once, for people and for checks; and whether a container is well."""
