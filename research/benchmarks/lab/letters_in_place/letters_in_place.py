"""A metric as `evaluate` wants it: the share of letters that stand where they should."""

import datasets
import evaluate


class LettersInPlace(evaluate.Metric):
    """Of words of letters, separated by blanks."""

    def _info(self):
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=__doc__,
            citation="",
            inputs_description="texts",
            features=datasets.Features({"predictions": text, "references": text}),
        )

    def _compute(self, predictions, references):
        shares = []
        for prediction, reference in zip(predictions, references, strict=True):
            letters = reference.split()
            equal = [a == b for a, b in zip(prediction.split(), letters, strict=False)]
            shares.append(sum(equal) / len(letters))
        return {"letters_in_place": sum(shares) / len(shares)}
