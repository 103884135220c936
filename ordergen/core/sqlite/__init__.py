"""Django's SQLite backend, with writers that go on as soon as they may."""
