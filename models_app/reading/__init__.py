"""From the bytes of a file, however it was written, to rows of values: what is certain is read, the rest is asked."""
