"""What the launcher of the Flex Template runs: it builds the pipeline, submits it and ends."""

from __future__ import annotations

from mongo_gcp_stream.beam.pipeline import main

if __name__ == "__main__":
    main()
