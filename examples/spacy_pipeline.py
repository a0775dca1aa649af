"""whopays as a component of a spaCy pipeline."""

import spacy

from whopays.integrations.spacy import render

nlp = spacy.blank("en")
component = nlp.add_pipe("whopays")
texts = ["Students now pay $5,500 a year.", "The state cut its grants.", "The museum opens at nine."]
for doc in nlp.pipe(texts):
    group = doc.spans["whopays"]
    found = [
        (span.text, span.label_, round(float(score), 2))
        for span, score in zip(group, group.attrs["scores"], strict=True)
    ]
    print(found, doc._.whopays.payers)
    html = render(doc, component.tagger.codebook)
