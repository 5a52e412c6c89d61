"""Operations on ZStack, and the wiring of that vendor."""
