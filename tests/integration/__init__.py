"""Real brokers, real Celery workers, a CloudWatch endpoint: the whole program, from outside."""
