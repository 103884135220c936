"""The roof: the command line, the demo, the supervisor, health checks, `ordergen verify`. It may see everything."""
