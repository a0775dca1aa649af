"""A shipped model as a scikit-learn estimator, and a head of one's own on its encoder."""

from whopays.sklearn import ClaimClassifier

tags = ClaimClassifier.pretrained("small")
texts = ["Students now pay $5,500 a year.", "The state cut its grants.", "The museum opens at nine."]
for text, row in zip(texts, tags.predict(texts), strict=True):
    print(text, "->", *tags.classes_[row.astype(bool)])

money = ["The fee is forty euros.", "Her wage rose by a tenth.", "The bank lent us money.", "Rent takes half my pay."]
weather = ["It rained all night.", "Snow fell on the hills.", "The sun burnt the grass.", "A storm broke the mast."]
own = ClaimClassifier("small", C=50, min_positive=2).fit(money + weather, [["money"]] * 4 + [["weather"]] * 4)
print(own.classes_, own.predict_proba(["We paid ten dollars.", "Fog hid the harbour."]).round(2))
