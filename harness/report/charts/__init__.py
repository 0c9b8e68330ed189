"""Zone: charts as SVG."""
