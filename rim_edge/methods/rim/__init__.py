"""RiM: readouts after memory blocks, packed into one pass."""
