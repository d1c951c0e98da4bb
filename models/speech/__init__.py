"""From sound to the numbers that the chain hears: spectra, wav2vec features, the level of speech, voices alone."""
