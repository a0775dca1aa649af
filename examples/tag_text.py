"""Tag one text and print its evidence."""

import whopays

tagger = whopays.load()
result = tagger.tag("Employers pay only in name: the cost of the certificate is pushed onto the worker.")

print("payers:    ", *result.payers)
print("evaders:   ", *result.evaders)
print("mechanisms:", *result.mechanisms)
for span in result.spans:
    print(f"{span.label:18} {span.score:.2f}  {span.start}:{span.end}  {span.text!r}")
