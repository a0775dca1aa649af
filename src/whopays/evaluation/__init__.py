"""Gold against prediction: documents, sentences and evidence, with confidence intervals."""
