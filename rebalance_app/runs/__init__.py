"""A run: pre-flight, launch, the chunk's way through a worker, sweep, cancel, retry, its pages and API."""
