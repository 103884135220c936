"""Orders leave once: in a batch, sells first, in a layout that its destination reads."""
