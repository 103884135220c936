"""One portfolio as it is now under several sets of options, side by side. Writes nothing."""
