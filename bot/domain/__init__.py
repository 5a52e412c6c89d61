"""The pure core: what an operation, a caller, a decision and a plan are. No I/O, no clock, no SDK."""
