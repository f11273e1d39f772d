"""Status: what there is now, asked once, for people and checks; and health checks of containers."""
