"""What every other folder may use: checks, files and locks, formats, threads, interruption, progress, the recorder."""
