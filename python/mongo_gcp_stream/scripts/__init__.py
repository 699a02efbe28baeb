"""The original's scripts, over the command line: `python -m mongo_gcp_stream.scripts.<name>`."""
