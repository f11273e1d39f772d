"""Queue probes against real servers; ``make`` makes a cluster of any kind."""
