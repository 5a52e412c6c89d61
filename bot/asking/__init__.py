"""Programs that ask: they may look, plan and propose; only people send."""
