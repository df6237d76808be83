"""The laboratory as tables, pictures and one report."""
