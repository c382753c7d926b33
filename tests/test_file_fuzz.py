"""Any table and any model file: the outcome is the content, or an error that names the file."""

import csv
import io
import string

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fuzzing import bits, changed_dicts, flipped, limits, outcome, with_part
from rankaudio import Tagger
from rankaudio.data import LabelTable, ScoreTable, read_classes, read_labels, read_scores
from small_networks import used_tagger

pytestmark = pytest.mark.slow

LIMITS = limits(40)

cells = st.one_of(
    st.sampled_from(["a.wav", "b.wav", "../a.wav", "", "Bark", "Bark,Meow", "['Bark', 'Meow']", "0", "0.5"]),
    st.sampled_from(["nan", "1e999", "1_0", "\u0661", "a;b", "[", "e\u0301", "\xe9", "\u200b", "\0"]),
    st.text(max_size=6),
)
headers = st.sampled_from(
    [["fname", "labels"], ["fname", "Bark", "Meow"], ["", "fname", "labels"], ["fname"], ["labels", "fname"]]
)
tables = st.builds(
    lambda header, rows, delimiter, end, mark: mark + as_csv([header, *rows], delimiter, end),
    headers | st.lists(cells, max_size=4),
    st.lists(st.lists(cells, min_size=1, max_size=4), max_size=5),
    st.sampled_from([",", ",", ",", ";", "\t"]),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["", "\ufeff"]),
)
texts = st.text(st.sampled_from(string.printable + "\0\ufeff\xe9\u200b\u2028"), max_size=80)
contents = st.one_of(tables, texts).map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary(
    max_size=80
)


def as_csv(rows, delimiter, end):
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, lineterminator=end).writerows(rows)
    return out.getvalue()


@LIMITS
@given(contents, st.booleans(), st.sampled_from([",", ";", " "]))
def test_any_table(tmp_path, content, strict, separator):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    labels = outcome(path, lambda path: read_labels(path, strict=strict, separator=separator))
    assert labels is None or isinstance(labels, LabelTable)
    scores = outcome(path, read_scores)
    assert scores is None or (isinstance(scores, ScoreTable) and scores.scores.isfinite().all())
    classes = outcome(path, read_classes)
    assert scores is None or classes == scores.classes


class Model:
    """A file of a tagger, its bytes and its content; hypothesis would print the bytes of a tuple."""

    def __init__(self, path):
        self.path, self.bytes, self.content = path, path.read_bytes(), torch.load(path, weights_only=True)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.pt"
    used_tagger("CNN2d, max").save(path)
    return Model(path)


@LIMITS
@given(st.data())
def test_a_model_file_with_any_other_part(tmp_path, model, data):
    path = tmp_path / "model.pt"
    torch.save(data.draw(changed_dicts(model.content)), path)
    tagger = outcome(path, Tagger.load)
    assert tagger is None or tagger(torch.zeros(1, 500)).shape == (1, len(tagger.classes or "abc"))


@LIMITS
@given(bits)
def test_a_model_file_with_any_flipped_bits(tmp_path, model, bits):
    path = tmp_path / "model.pt"
    path.write_bytes(flipped(model.bytes, bits))
    tagger = outcome(path, Tagger.load)
    if tagger is not None:  # bits of the archive that mean nothing, such as times
        kept = model.content["state"]
        assert all(torch.equal(value, kept[name]) for name, value in tagger.state_dict().items())


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@LIMITS
@given(bits | st.binary(max_size=40))
def test_a_model_file_with_any_pickle(tmp_path, model, change):
    """The checksums are right, so the bytes reach PyTorch."""
    path = tmp_path / "model.pt"
    is_whole = isinstance(change, bytes)
    with_part(model.path, path, "data.pkl", lambda body: change if is_whole else flipped(body, change))
    outcome(path, Tagger.load)


@LIMITS
@given(st.integers(0, 1 << 16), st.binary(max_size=30), st.booleans())
def test_a_model_file_that_is_cut_or_has_more_bytes(tmp_path, model, place, more, cut):
    path, content = tmp_path / "model.pt", model.bytes
    place %= len(content)
    path.write_bytes(content[:place] + more + (b"" if cut else content[place:]))
    outcome(path, Tagger.load)
