"""Durable work: the engine that resumes, and the runner whose ledger prevents repetition."""
