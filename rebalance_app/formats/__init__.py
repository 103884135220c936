"""Problems, solutions and scenarios as JSON, and their reasons in sentences. Imports no Django."""
