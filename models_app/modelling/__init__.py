"""Changing models: the services that write them, the editor, their pages and their API."""
