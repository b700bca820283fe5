"""Which of two nodes can be reached: ProsQA's task in symbols."""
