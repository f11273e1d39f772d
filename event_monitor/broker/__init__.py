"""Broker: what speaks to a broker and is shared by receiver, probes and check."""
