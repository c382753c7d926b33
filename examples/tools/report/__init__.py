"""Write one HTML page about a run."""
