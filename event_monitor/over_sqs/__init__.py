"""Over SQS: Celery's events in messages of one SQS queue, where the broker carries none.

Importing it imports neither Celery nor boto3.
"""
