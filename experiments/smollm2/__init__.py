"""Arms on a pretrained model: SmolLM2-135M-Instruct and one door or two, in plain English."""
