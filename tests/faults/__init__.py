"""The fault suite: scenarios that break things, and an auditor of the promise. Read `__main__.py` first."""
