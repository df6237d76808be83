"""Profiles of time, flops and memory traffic, and facts about this machine."""
