"""Operations on Cortex Xpanse, and the wiring of that vendor."""
