"""A predictive controller as a native FMU: its tables, the C around them, description and page.

- `controllers.export.source`: what of a controller is exported.
- `controllers.export.build`: from there to the file.
"""
