"""What is shown: the cells read from their files and joined into rows, their costs, and words for them."""
