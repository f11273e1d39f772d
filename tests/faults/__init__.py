"""Faults: brokers, the network, CloudWatch, the disk and the clock fail; the sums stay true."""
