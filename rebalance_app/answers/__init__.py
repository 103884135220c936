"""An answer as it is told: its reasons in sentences, itself and its scenarios as JSON. Imports no Django."""
