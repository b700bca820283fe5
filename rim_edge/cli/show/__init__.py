"""What people look at: answers, and how a run goes."""
