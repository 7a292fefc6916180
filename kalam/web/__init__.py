"""Web sites: a polite crawler, and a folder served as one."""
