"""A MongoDB to test with: mongoeco, which speaks the protocol, in an environment of its own (`make test-mongo`)."""
