"""Which sets of networks there are: their constants, options and files of weights, as plain data without torch."""
