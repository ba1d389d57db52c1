"""The commands, one in each file. What is heavy to import is imported when a command runs."""
