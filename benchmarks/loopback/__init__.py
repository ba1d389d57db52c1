"""What the benchmarks of the deployment share: a real coordinator, its clients, a bare server."""
