"""What this machine is: its processor and GPUs, where things are kept, what was found out here."""
