"""Provision: from the catalog and the settings to alarms, dashboards, scaling and permissions.

Pure until ``apply``: ``alarms``, ``layout``, ``scaling``, ``task_definition`` and ``policy`` say
once what is wanted, ``stack`` gathers it (twice: ``references`` stand for what is a variable), and
``render`` writes it in every form. The same input always gives the same bytes.
"""
