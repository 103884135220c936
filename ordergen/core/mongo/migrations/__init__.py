"""The migrations of Django's own apps on MongoDB: their tables as Django 5.2 has them, with keys that MongoDB makes."""
