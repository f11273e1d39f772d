"""Process: what stands around the work: signals, the log on its way out, the end in time."""
