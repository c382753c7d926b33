"""With scikit-learn: lwlrap as a scorer in cross-validation and in searches."""

import numpy as np
import pytest
import torch
from sklearn.datasets import make_multilabel_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import label_ranking_average_precision_score, make_scorer
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier

from rankaudio import lwlrap


def lwlrap_score(y_true, y_score):
    return float(lwlrap(y_score, y_true))


FEATURES, LABELS = make_multilabel_classification(
    120, n_features=12, n_classes=6, n_labels=2, allow_unlabeled=True, random_state=0
)
FOLDS = KFold(3, shuffle=True, random_state=0)
LINEAR = OneVsRestClassifier(LogisticRegression())


def by_hand(model, method):
    """Score fold by fold with scikit-learn's own LRAP, weighted by label counts."""
    values = []
    for train, test in FOLDS.split(FEATURES):
        scores = getattr(model.fit(FEATURES[train], LABELS[train]), method)(FEATURES[test])
        counts = LABELS[test].sum(1)
        values.append(label_ranking_average_precision_score(LABELS[test], scores, sample_weight=counts))
    return values


@pytest.mark.parametrize(
    ("model", "method"),
    [
        (LINEAR, "decision_function"),
        (LINEAR, "predict_proba"),
        (MLPClassifier(max_iter=5, random_state=0), "predict_proba"),
        (LINEAR, ["decision_function", "predict_proba"]),
    ],
    ids=["decision function", "probabilities", "probabilities of a network", "the first of both"],
)
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_cross_validation(model, method):
    scorer = make_scorer(lwlrap_score, response_method=method)
    values = cross_val_score(model, FEATURES, LABELS, scoring=scorer, cv=FOLDS, error_score="raise")
    method = method if isinstance(method, str) else method[0]
    assert values.tolist() == pytest.approx(by_hand(model, method), abs=1e-12)
    assert values.std() > 0


def test_forests_with_one_array_of_probabilities_per_class():
    """scikit-learn combines the arrays into one table of the labels' probabilities."""
    scorer = make_scorer(lwlrap_score, response_method="predict_proba")
    model = RandomForestClassifier(10, random_state=0).fit(FEATURES[:60], LABELS[:60])
    scores = np.stack([table[:, 1] for table in model.predict_proba(FEATURES[60:])], axis=1)
    assert scorer(model, FEATURES[60:], LABELS[60:]) == lwlrap_score(LABELS[60:], scores) < 1


def test_predictions_that_are_not_scores_are_refused():
    scorer = make_scorer(lwlrap_score)
    with pytest.raises(TypeError, match="scores: wanted a floating-point tensor, got a int64"):
        scorer(LINEAR.fit(FEATURES, LABELS), FEATURES, LABELS)


def test_search_finds_the_best_setting():
    scorer = make_scorer(lwlrap_score, response_method="decision_function")
    grid = {"estimator__C": [1e-4, 1.0]}
    search = GridSearchCV(LINEAR, grid, scoring=scorer, cv=FOLDS, error_score="raise")
    search.fit(FEATURES, LABELS)
    means = search.cv_results_["mean_test_score"]
    assert search.best_score_ == means.max() > means.min()
    assert search.best_score_ == scorer_mean(search.best_params_)


def scorer_mean(settings):
    values = by_hand(OneVsRestClassifier(LogisticRegression(C=settings["estimator__C"])), "decision_function")
    return pytest.approx(sum(values) / len(values), abs=1e-12)


def test_targets_as_scikit_learn_binarises_them():
    """MultiLabelBinarizer turns sets of names into integers."""
    from sklearn.preprocessing import MultiLabelBinarizer

    target = MultiLabelBinarizer(classes=["Bark", "Meow", "Purr"]).fit_transform([{"Bark"}, {"Meow", "Purr"}])
    scores = torch.tensor([[3.0, 1.0, 2.0], [2.0, 1.0, 3.0]])
    assert lwlrap_score(target, scores.numpy()) == pytest.approx((1 + 1 + 2 / 3) / 3)
