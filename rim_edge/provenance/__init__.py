"""Where a bundle comes from: who signed it, and what it and its tools are made of."""
