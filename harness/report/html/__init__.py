"""Zone: the report as one HTML file."""
