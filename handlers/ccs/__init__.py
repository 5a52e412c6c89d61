"""Operations on CCS, and the wiring of that vendor."""
