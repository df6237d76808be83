"""Answers requests with a model file: the page of `cymbals explore`, and what services need."""
