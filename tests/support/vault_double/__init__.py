"""A double of Azure Key Vault, of the hosts that sign in to it, and of a machine's token endpoints.

For tests only. It keeps keys in memory, listens on loopback, and is told what to do through
control.py; client.py starts it from a test.
"""
