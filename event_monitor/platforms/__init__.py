"""Platforms: the files that run the monitor under Django, Docker, Kubernetes and systemd. Pure."""
