"""Arms on a pretrained model: SmolLM2-135M-Instruct and two doors, in plain English."""
