"""Files of taggers that are damaged, or made to do harm: a ValueError names the file and the problem."""

import io
import re
import subprocess
import sys
import time
import zipfile

import pytest
import torch

from rankaudio import CNN2d, LogMel, Tagger
from small_networks import small_tagger, used_tagger

NESTED = []
for _ in range(40):
    NESTED = [NESTED, NESTED]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model.pt"
    used_tagger("CNN2d, max").save(path)
    return path


@pytest.fixture
def content(saved):
    return torch.load(saved, weights_only=True)


def refused(path, content, problem=""):
    """The content in a file is refused in seconds, with the file's name and the problem."""
    torch.save(content, path)
    start = time.monotonic()
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}: ") as error:
        Tagger.load(path)
    assert time.monotonic() - start < 10
    assert problem in str(error.value)
    assert len(str(error.value)) < 1500


WRONG = {
    "none": None, "true": True, "negative": -1, "number": 1, "float": 3.5, "nan": float("nan"), "huge": 10**9,
    "2^63": 2**63, "10^30": 10**30, "text": "x", "bytes": b"A", "list": [], "numbers": [1, 2], "dict": {},
    "numbered": {5: 1}, "set": {"a", "b", "c"}, "tensor": torch.zeros(1), "nested": NESTED,
}  # fmt: skip
VALID = {
    # None is half the sample rate, and no logarithm.
    *((("frontend", "settings", name), "none") for name in ("f_max", "eps")),
    (("frontend", "settings", "eps"), "number"),
    *((("frontend", "settings", "eps"), value) for value in ("float", "huge", "2^63", "10^30")),
    *((("frontend", "settings", "f_min"), value) for value in ("number", "float")),
    (("frontend", "settings"), "dict"),  # each has its default
    (("classes",), "list"),
    *((("frontend", "settings", "hop_length"), value) for value in ("number", "huge")),
    (("frontend", "settings", "n_mels"), "number"),
    (("frontend", "settings", "power"), "number"),
    *((("backbone", "settings", "rnn_units"), value) for value in ("number", "huge")),  # used by "rnn" only
    (("backbone", "settings", "dropout"), "number"),
    (("backbone", "settings", "in_channels"), "number"),
    (("backbone", "settings", "start_deep_supervision_on"), "number"),
    (("backbone", "settings", "frequency_encoding"), "true"),
}


def places(content):
    """The path of keys to each value of the content that is no tensor of the state."""
    yield from ((key,) for key in content)
    for part in ("frontend", "backbone"):
        yield from ((part, key) for key in content[part])
        yield from ((part, "settings", key) for key in content[part]["settings"])


def replaced(content, place, *value):
    """A copy with another value at one place, or with none."""
    first, *rest = place
    copy = dict(content)
    if rest:
        copy[first] = replaced(copy[first], rest, *value)
    elif value:
        copy[first] = value[0]
    else:
        del copy[first]
    return copy


@pytest.mark.slow
@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_kind_anywhere_is_one_error_with_the_files_name(kind, content, tmp_path):
    wrong = 0
    for place in places(content):
        if (place, kind) not in VALID:
            refused(tmp_path / "m.pt", replaced(content, place, WRONG[kind]))
            wrong += 1
    assert wrong > 20


def test_a_missing_part_is_named(content, tmp_path):
    for place in [("format",), ("classes",), ("state",), ("frontend",), ("backbone",)]:
        refused(tmp_path / "m.pt", replaced(content, place), "" if place == ("format",) else place[0])
    for part in ("frontend", "backbone"):
        for key in ("type", "settings"):
            refused(tmp_path / "m.pt", replaced(content, (part, key)), f"{part}: {key}: wanted")
    refused(tmp_path / "m.pt", replaced(content, ("backbone", "settings", "n_classes")), "n_classes")


@pytest.mark.parametrize(
    ("classes", "problem"),
    [
        (["a"], "classes: wanted 3 names, one for each score, got 1"),
        ([1, 2, 3], "classes: wanted a list of strings, got 1"),
        ("abc", "classes: wanted a list of strings, got 'abc'"),
        (["a", "a", "b"], "classes: wanted different names, got 'a' twice"),
        ({"a", "b", "c"}, "classes: wanted a list of strings, got {'a', 'b', 'c'} (set)"),
    ],
)
def test_wrong_classes_are_named(classes, problem, content, tmp_path):
    refused(tmp_path / "m.pt", {**content, "classes": classes}, problem)


@pytest.mark.parametrize("part", ["frontend", "backbone"])
@pytest.mark.parametrize("settings", [[], [1, 2], "x", {5: 1}, None], ids=str)
def test_settings_that_have_no_names_are_named(part, settings, content, tmp_path):
    damaged = replaced(content, (part, "settings"), settings)
    refused(tmp_path / "m.pt", damaged, f"{part}: settings: wanted values by name, got")


def test_unknown_settings_are_named(content, tmp_path):
    refused(tmp_path / "m.pt", replaced(content, ("backbone", "settings", "nope"), 1), "CNN2d, got 'nope'")
    refused(tmp_path / "m.pt", replaced(content, ("frontend", "settings", "nope"), 1), "LogMel, got 'nope'")


@pytest.mark.parametrize(
    ("part", "settings", "problem"),
    [
        ("backbone", {"n_blocks": 60}, "n_blocks: wanted an integer from 1 to 20"),
        ("backbone", {"n_blocks": 10**6}, "n_blocks: wanted an integer from 1 to 20"),
        ("backbone", {"n_blocks": 20}, "missing are"),
        ("backbone", {"base_depth": 10**5}, "wants shape"),
        ("backbone", {"n_classes": 10**9}, "wants shape"),
        ("backbone", {"growth_rate": 1e308}, "backbone"),
        ("backbone", {"pooling": "rnn", "rnn_units": 10**7}, "missing are"),
        ("frontend", {"n_fft": 2**31}, "n_fft: wanted an integer from 2 to 16,777,216"),
        ("frontend", {"n_fft": 2**24}, "bytes of constants"),
        ("frontend", {"n_fft": 2**24, "transform": "matmul"}, "bytes of constants"),
        # Twice a prime number.
        ("frontend", {"n_fft": 2 * 8_388_593, "transform": "matmul"}, "bytes of constants"),
        ("frontend", {"n_mels": 10**7}, "bytes of constants"),
        ("frontend", {"sample_rate": 10**9}, "sample_rate: wanted at most 1,000,000"),
    ],
)
def test_sizes_that_are_not_those_of_the_tensors_are_refused_at_once(
    part, settings, problem, content, tmp_path
):
    described = {**content[part], "settings": {**content[part]["settings"], **settings}}
    refused(tmp_path / "m.pt", {**content, part: described}, problem)


def test_tensors_that_are_no_plain_tensors_are_refused(content, tmp_path):
    name = next(name for name in content["state"] if name.endswith("conv.weight"))
    weight = content["state"][name]
    for bad in (
        weight.to(torch.complex64),
        weight.to(torch.float8_e4m3fn),
        weight.to_sparse(),
        torch.zeros(1).expand_as(weight),
        torch.zeros_like(weight, device="meta"),
        "weight",
        None,
    ):
        refused(
            tmp_path / "m.pt", {**content, "state": {**content["state"], name: bad}}, "state: wanted a plain"
        )
    for bad in (weight[:1], weight.long()):
        refused(tmp_path / "m.pt", {**content, "state": {**content["state"], name: bad}}, "wants shape")
    rest = {key: value for key, value in content["state"].items() if key != name}
    refused(tmp_path / "m.pt", {**content, "state": rest}, f"missing are '{name}'")
    refused(
        tmp_path / "m.pt", {**content, "state": {**content["state"], "more": weight}}, "unknown are 'more'"
    )
    refused(tmp_path / "m.pt", {**content, "state": {5: weight}}, "state: wanted tensors by name")


def test_tensors_that_share_memory_cannot_ask_for_more_than_the_file_has(content, tmp_path):
    path = tmp_path / "m.pt"
    ours = Tagger(LogMel(n_mels=12, n_fft=64), CNN2d(3, n_blocks=20, base_depth=40, growth_rate=1.0))
    shared = {}
    state = {
        name: shared.setdefault((value.shape, value.dtype), value)
        for name, value in ours.state_dict().items()
    }
    described = {"type": "CNN2d", "settings": ours.backbone.settings()}
    refused(path, {**content, "backbone": described, "state": state}, "a separate tensor for each name")


@pytest.mark.slow
def test_a_flipped_bit_is_found_wherever_it_is(saved, tmp_path):
    good, path = bytearray(saved.read_bytes()), tmp_path / "m.pt"
    expected = Tagger.load(saved).state_dict()
    generator = torch.Generator().manual_seed(0)
    refusals = kept = 0
    for place in torch.randint(8 * len(good), (150,), generator=generator).tolist():
        flipped = bytearray(good)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        try:
            state = Tagger.load(path).state_dict()
        except ValueError as error:
            refusals += str(error).startswith(f"{path}: ")
        else:  # padding between the parts of the archive has no meaning
            kept += all(torch.equal(state[name], value) for name, value in expected.items())
    assert refusals + kept == 150
    assert refusals > 50
    # The exponent of a weight.
    weight = next(value for name, value in expected.items() if name.endswith("conv.weight"))
    first = good.index(weight.numpy().tobytes())
    good[first + 3] ^= 0x40
    path.write_bytes(good)
    with pytest.raises(ValueError, match=r"m.pt: damaged: its part '.*data/\d+' differs from its checksum"):
        Tagger.load(path)


def test_a_file_is_written_with_checksums_whatever_the_options_of_pytorch(tmp_path):
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        small_tagger("CNN2d, max").save(tmp_path / "m.pt")
        assert not torch.serialization.get_crc32_options()
    finally:
        torch.serialization.set_crc32_options(before)
    Tagger.load(tmp_path / "m.pt")


def test_compressed_archives_are_refused_before_they_are_read(saved, tmp_path):
    path = tmp_path / "m.pt"
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.namelist():
            new.writestr(part, old.read(part))
    with pytest.raises(ValueError, match="m.pt: .* got an archive with compressed parts"):
        Tagger.load(path)


def test_the_old_format_of_pytorch_is_refused(content, tmp_path):
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=False)
    (tmp_path / "m.pt").write_bytes(buffer.getvalue())
    with pytest.raises(ValueError, match=r"m.pt: wanted a file written by Tagger.save"):
        Tagger.load(tmp_path / "m.pt")


def test_a_pickle_that_ends_early_is_named(tmp_path):
    """PyTorch raises struct.error, which is no ValueError."""
    with zipfile.ZipFile(tmp_path / "m.pt", "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02M")
        archive.writestr("archive/version", b"3\n")
    with pytest.raises(ValueError, match=r"m.pt: wanted a file written by Tagger.save"):
        Tagger.load(tmp_path / "m.pt")


def test_arguments_of_load_are_named(saved):
    for name, bad, error in (
        ("frontend", "LogMel", TypeError),
        ("backbone", CNN2d, TypeError),
        ("device", 3.5, TypeError),
        ("device", "gpu", ValueError),
    ):
        with pytest.raises(error, match=f"{name}: wanted"):
            Tagger.load(saved, **{name: bad})
    with pytest.raises(TypeError, match="path: wanted"):
        Tagger.load(5)


def test_an_empty_module_is_a_module(saved):
    with pytest.raises(ValueError, match="its tensors do not fit Sequential"):
        Tagger.load(saved, backbone=torch.nn.Sequential())


def test_loading_takes_the_random_numbers_of_building_the_network(saved):
    """As ever, so that programs that load a tagger keep their draws."""
    torch.manual_seed(0)
    Tagger.load(saved)
    after = torch.get_rng_state()
    torch.manual_seed(0)
    CNN2d(**torch.load(saved, weights_only=True)["backbone"]["settings"])
    assert torch.equal(after, torch.get_rng_state())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["CNN2d, max", "AuxSkipAttention", "AxisPoolCNN"])
def test_loading_does_not_import_the_compiler(name, tmp_path):
    """The import takes seconds, and PyTorch does it for some operations on the meta device."""
    used_tagger(name).save(tmp_path / "m.pt")
    program = f"import sys; from rankaudio import Tagger; Tagger.load({str(tmp_path / 'm.pt')!r})"
    program += "; sys.exit('torch._dynamo' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
