"""Stand-ins for the interfaces of other libraries. Nothing else in cymbals imports them."""
