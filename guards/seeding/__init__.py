"""What the seed guard needs: where a program sets or draws from a generator, and what a change of that means."""
