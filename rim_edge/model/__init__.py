"""The model that is trained, and the checkpoint it is saved as."""
