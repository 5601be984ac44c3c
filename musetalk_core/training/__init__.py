"""Training: from videos to a model of one's own, and the paper's studies of it."""
