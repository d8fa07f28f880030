"""Whole trials of this library's families as episodes for other people's trainers."""
