"""Tables and pictures of data and models, the report that contains them all, and the demonstration."""
