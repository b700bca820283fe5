"""A bundle as a model of lm-evaluation-harness (`pip install lm-eval`): docs/evaluation.md."""
