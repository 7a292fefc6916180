"""This machine: its devices and threads, and the processes of a job on one node or several."""
