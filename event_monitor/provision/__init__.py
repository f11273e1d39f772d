"""Provision: from the catalog and the settings to alarms, dashboards, scaling and permissions.

Pure until ``apply``: ``alarms``, ``panels``, ``scaling``, ``task`` and ``policy`` say once what is
wanted (``model``); ``terraform``, ``cloudformation``, ``api``, ``dashboard`` and ``grafana`` write
it down. The same input always gives the same bytes.
"""
