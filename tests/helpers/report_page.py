"""A run folder with HTML in every name, and a parser for the page about it."""

import csv
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from rankaudio.data import ScoreTable, write_scores
from tools.report import command

VOID = {"circle", "img", "line", "meta", "path"}
NASTY = '</script><script>alert("1")</script>&"\'<b>{{ 7 * 7 }}'
CLASSES = ("Bark", "Meow & <Purr>", 'Say "hi"', NASTY)


class Page(HTMLParser):
    """A page as a list of elements with their text. A page that is not well-formed is refused."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.elements, self.declared = [], [], None
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_decl(self, decl):
        self.declared = decl

    def handle_startendtag(self, tag, attrs):
        assert tag in VOID
        self.elements.append((tag, dict(attrs), []))

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs)
        element = (tag, dict(attrs), [])
        self.elements.append(element)
        self.open.append(element)

    def handle_endtag(self, tag):
        assert self.open[-1][0] == tag
        self.open.pop()

    def handle_data(self, data):
        if data.isspace():
            return
        for element in self.open:
            element[2].append(data)

    def all(self, tag, **wanted):
        return [
            ("".join(text), attrs)
            for name, attrs, text in self.elements
            if name == tag and all(attrs.get(key) == value for key, value in wanted.items())
        ]

    def texts(self, tag, **wanted):
        return [text for text, _ in self.all(tag, **wanted)]


def tone(path, *, rate=44_100, seconds=0.5, loud_from=None):
    t = np.arange(int(rate * seconds)) / rate
    wave = 0.1 * np.sin(2 * np.pi * 440 * t)
    if loud_from is not None:
        wave[t >= loud_from] *= 5
    path.parent.mkdir(parents=True, exist_ok=True)
    wavfile.write(path, rate, np.round(32767 * wave).astype(np.int16))


def write_run(root):
    """Write a run of two folds and its data. All names have HTML in them, as far as file systems allow."""
    data, folder = root / "data", root / "a&b <run>"
    generator = torch.Generator().manual_seed(3)
    names = [f'{k} <i>&amp;"x.wav' for k in range(8)]
    target = torch.rand(8, 4, generator=generator) < 0.4
    target[0] = torch.tensor([True, False, False, True])
    target[target.sum(1) == 0, 1] = True
    scores = torch.randn(8, 4, generator=generator)
    for name in names:
        tone(data / "train_curated" / name)
    write_labels(data / "train_curated.csv", names, target)
    folder.mkdir()
    write_settings(folder, note=NASTY)
    for fold in (0, 1):
        place = folder / f"fold_{fold}"
        place.mkdir()
        rows = [[1, 3.0, 0.2, 1e-4, 1], [2, 2.0, 0.6, 5e-3, 1], [3, 1.5, 0.5, 1e-7, 1]]
        with (place / "metrics.csv").open("w", newline="") as file:
            csv.writer(file).writerows(
                [["epoch", "train_loss", "valid_lwlrap", "learning_rate", "seconds"], *rows]
            )
        own = slice(4 * fold, 4 * fold + 4)
        write_scores(place / "valid.csv", ScoreTable(names[own], CLASSES, scores[own]))
    return data, folder, names, scores, target


def write_settings(folder, **more):
    """Write settings.toml of a run with two folds."""
    lines = [f"{name} = {json.dumps(value)}" for name, value in more.items()]
    lines += [f"classes = {json.dumps(list(CLASSES))}", "[network]", 'name = "CNN2d"', "base_depth = 8"]
    lines += ["[optim]", "epochs = 3", "seed = 42", "[clips]", "folds = 2"]
    (folder / "settings.toml").write_text("\n".join(lines), encoding="utf-8")


def write_labels(path, names, target, classes=CLASSES):
    rows = [
        [name, ",".join(classes[c] for c in row.nonzero().flatten().tolist())]
        for name, row in zip(names, target, strict=True)
    ]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["fname", "labels"], *rows])


def report(*options):
    command.main(list(map(str, options)))


def refused(*options, match):
    with pytest.raises(SystemExit) as caught:
        report(*options)
    assert re.search(match, str(caught.value.code))
