"""Code that one or two chapters use; nothing else in the library imports it."""
