"""What a picture costs and what it loses: benchmarks for users (``render bench``), their report and its comparison."""
