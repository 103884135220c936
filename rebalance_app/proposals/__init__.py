"""What is stored of a portfolio's answer in a run, how it is read back, shown and checked again."""
