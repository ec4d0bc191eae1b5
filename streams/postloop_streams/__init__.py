"""Faust processors: the only code that imports Faust."""
