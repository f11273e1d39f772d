"""The soak: twenty real workers that are stopped, killed, doubled, and a monitor that is paused.

At the end every verdict and every count of the monitor is compared with the truth, which comes from
others: a recorder of its own on the broker, the processes' own table, and what the tasks wrote
down. ``scripts/soak`` runs it.
"""
