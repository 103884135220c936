"""People, their roles and API keys; signing in and out."""
