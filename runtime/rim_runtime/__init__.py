"""Ask a RiM bundle: numpy, tokenizers and an engine; never torch."""
