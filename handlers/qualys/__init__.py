"""Operations on Qualys, and the wiring of that vendor."""
