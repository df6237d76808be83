"""Helpers for all other folders: checks, files, locks, formats, threads, interruption, progress, the recorder."""
