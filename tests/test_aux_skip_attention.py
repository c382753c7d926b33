"""The first-place networks: the original's numbers, and scores that do not depend on padding."""

import copy
import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from rankaudio import Tagger, deltas
from rankaudio.backbones import CBAM, AuxSkipAttention, RnnAuxSkipAttention, SkipAttention
from rankaudio.backbones._skip_blocks import average_pool
from rankaudio.backbones.skip_attention import _from_reference
from rankaudio.losses import AuxiliaryLoss, AuxiliaryScores, LSoftLoss, SourceLoss
from rankaudio.spectral import DecibelMel

GOLDEN = Path(__file__).parent / "golden"
REFERENCES = {
    "argus_aux_skip_attention_base4": (AuxSkipAttention, {}),
    "argus_rnn_aux_skip_attention": (RnnAuxSkipAttention, {}),
    "argus_skip_attention_kernel3": (SkipAttention, {"spatial_kernel": 3}),
}
HEADS = ("main", "aux3", "aux2", "aux1")
NETWORKS = {
    "plain": lambda **settings: SkipAttention(4, base_depth=3, **settings),
    "auxiliary": lambda **settings: AuxSkipAttention(4, base_depth=3, **settings),
    "recurrent": lambda **settings: RnnAuxSkipAttention(4, base_depth=3, **settings),
}
every_network = pytest.mark.parametrize("build", NETWORKS.values(), ids=NETWORKS)


def reference(name, **more):
    network, settings = REFERENCES[name]
    golden = np.load(GOLDEN / f"{name}.npz")
    model = network(len(golden["sd/fc.5.bias"]), base_depth=4, **settings, **more)
    state = {key[3:]: torch.from_numpy(golden[key]) for key in golden.files if key.startswith("sd/")}
    model.load_reference_state_dict(state)
    return model, golden, torch.from_numpy(golden["input0"].astype(np.float32))


def all_scores(model, *inputs):
    if isinstance(model, AuxSkipAttention):
        outputs = model.all_scores(*inputs)
        return [outputs.scores, *outputs.auxiliary]
    return [model(*inputs)]


def trained(build):
    """Build a network in float64 whose running statistics are not the initial ones."""
    torch.manual_seed(0)
    model = build().double()
    model(torch.randn(4, 40, 64).double())
    return model.eval()


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 1e-5), (torch.float64, 1e-9)])
def test_scores_of_all_heads_equal_the_originals(name, dtype, atol):
    model, golden, x = reference(name)
    model, x = model.to(dtype).eval(), x.to(dtype)
    with torch.no_grad():
        heads = all_scores(model, x)
        assert torch.equal(model(x), heads[0])
    assert len(heads) == len([name for name in HEADS if f"out0_{name}_f64" in golden.files])
    for head, scores in zip(HEADS, heads, strict=False):
        theirs = torch.from_numpy(golden[f"out0_{head}_f64"])
        torch.testing.assert_close(scores.double(), theirs, rtol=0, atol=atol)


@pytest.mark.parametrize("name", REFERENCES)
def test_a_training_pass_equals_the_originals(name):
    model, golden, x = reference(name, dropout=0.0)
    bce = torch.nn.BCEWithLogitsLoss(reduction="none")
    criterion = AuxiliaryLoss(SourceLoss([bce, LSoftLoss(reduction="none")], weights=(0.5, 0.5)))
    outputs = model.train()(x)
    target, noisy = torch.from_numpy(golden["train_target"]), torch.from_numpy(golden["train_noisy"]).bool()
    loss = criterion(outputs, target, noisy)
    loss.backward()
    scores = outputs.scores if isinstance(outputs, AuxiliaryScores) else outputs
    torch.testing.assert_close(scores, torch.from_numpy(golden["train_main"]), rtol=0, atol=2e-5)
    assert loss.item() == pytest.approx(golden["train_loss"].item(), abs=1e-5)
    parameters = dict(model.named_parameters())
    names = [_from_reference(str(key)) for key in golden["train_grad_norm_names"]]
    ours = torch.stack([parameters[name].grad.norm() for name in names])
    assert set(names) == set(parameters)
    # The gradient of a bias before a batch norm is rounding error, hence the absolute part.
    theirs = torch.from_numpy(golden["train_grad_norms"]).float()
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


def test_windows_with_their_own_deltas_score_as_the_originals():
    model, _, _ = reference("argus_aux_skip_attention_base4")
    golden = np.load(GOLDEN / "argus_tiles.npz")
    image = torch.from_numpy(golden["image"].astype(np.float32))
    for width, start in ((32, -112), (256, 0), (257, golden["start_w257_step64"][0])):
        window = torch.full((128, 256), image[:, :width].min())
        first, last = max(start, 0), min(start + 256, width)
        window[:, first - start : last - start] = image[:, first:last]
        with torch.no_grad():
            scores = model.eval()(window[None] / 100).sigmoid()[0]
        theirs = torch.from_numpy(golden[f"scores_w{width}_step64"][0])
        torch.testing.assert_close(scores, theirs, rtol=0, atol=1e-5)


@every_network
def test_a_clip_scores_the_same_alone_and_in_any_batch(build):
    model = trained(build)
    lengths = torch.tensor([70, 1, 2, 3, 15, 16, 17, 33, 64])
    batch = torch.randn(9, 40, 70).double()
    for row, length in enumerate(lengths):
        batch[row, :, length:] = math.nan
    together = all_scores(model, batch, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = all_scores(model, batch[row : row + 1, :, :length])
        for head, head_alone in zip(together, alone, strict=True):
            torch.testing.assert_close(head[row : row + 1], head_alone, rtol=0, atol=1e-12)
    assert all(head.isfinite().all() for head in together)


@every_network
@pytest.mark.parametrize(("bins", "frames"), [(1, 1), (1, 40), (5, 15), (40, 16), (20, 33)])
def test_small_inputs_have_finite_scores_and_gradients(build, bins, frames):
    model, x = build(), torch.randn(2, bins, frames, requires_grad=True)
    outputs = model(x)
    scores = outputs.scores if isinstance(outputs, AuxiliaryScores) else outputs
    scores.sum().backward()
    assert scores.shape == (2, 4)
    assert scores.isfinite().all()
    assert x.grad.isfinite().all()


@every_network
def test_settings_rebuild_the_network(build):
    model = build(spatial_kernel=3, hidden_factor=5, in_channels=2, delta_width=5)
    again = type(model)(**model.settings())
    again.load_state_dict(model.state_dict())
    x = torch.randn(2, 40, 33)
    assert torch.equal(again.eval()(x), model.eval()(x))
    assert repr(again) == repr(model)


@every_network
def test_a_new_classifier_is_for_every_head(build):
    model = build()
    model.reset_classifier(7)
    assert model.settings()["n_classes"] == 7
    assert all(scores.shape == (2, 7) for scores in all_scores(model, torch.randn(2, 40, 20)))


def test_a_tagger_file_holds_frontend_deltas_and_network(tmp_path):
    frontend = DecibelMel(n_fft=256, hop_length=128, n_mels=16, sample_rate=8000, ref="max", scale=0.01)
    tagger = Tagger(
        frontend, AuxSkipAttention(3, base_depth=2, delta_width=5), classes=["a", "b", "c"]
    ).eval()
    tagger.save(tmp_path / "model.pt")
    again = Tagger.load(tmp_path / "model.pt")
    waveform, lengths = torch.randn(2, 4000), torch.tensor([4000, 700])
    assert torch.equal(again(waveform, lengths), tagger(waveform, lengths))
    alone = tagger(waveform[1:, :700])
    torch.testing.assert_close(again(waveform, lengths)[1:], alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("in_channels", [1, 2, 3])
def test_a_spectrogram_without_channels_gets_its_derivatives(in_channels):
    model = AuxSkipAttention(3, base_depth=2, in_channels=in_channels).eval()
    x, lengths = torch.randn(2, 20, 33), torch.tensor([33, 12])
    channels = deltas(x, lengths)[:, :in_channels]
    assert torch.equal(model(x, lengths), model(channels, lengths))


def test_a_pooled_frame_is_the_mean_of_a_clips_own_frames():
    x = torch.arange(1.0, 10.0).expand(1, 1, 1, 9).repeat(4, 1, 1, 1)
    lengths = torch.tensor([9, 7, 3, 1])
    x = torch.where(torch.arange(9) < lengths[:, None, None, None], x, 0.0)
    pooled, left = average_pool(x, lengths, size=4)
    assert left.tolist() == [2, 1, 1, 1]
    assert pooled[:, 0, 0].tolist() == [[2.5, 6.5], [2.5, 0.0], [2.0, 0.0], [1.0, 0.0]]


def test_cbam_equals_its_formula():
    torch.manual_seed(0)
    cbam, x = CBAM(32, kernel_size=3).double(), torch.randn(2, 32, 5, 9).double()
    pooled = x.mean((2, 3)), x.flatten(2).amax(-1)
    attention = sum(torch.relu(p @ cbam.reduce.weight.T) @ cbam.expand.weight.T for p in pooled).sigmoid()
    y = x * attention[:, :, None, None]
    maps = torch.stack([y.mean(1), y.amax(1)], 1)
    expected = y * torch.nn.functional.conv2d(maps, cbam.spatial.weight, padding=1).sigmoid()
    torch.testing.assert_close(cbam(x), expected)
    spoiled = x.clone()
    spoiled[1, :, :, 4:] = math.nan
    ours = cbam(spoiled, torch.tensor([9, 4]))
    torch.testing.assert_close(ours[0], expected[0])
    torch.testing.assert_close(ours[1:, :, :, :4], cbam(x[1:, :, :, :4]))
    assert (ours[1, :, :, 4:] == 0).all()


@pytest.mark.slow
def test_the_auxiliary_network_exports_with_dynamic_batch_and_time():
    auto = torch.export.Dim.AUTO
    model, x = trained(NETWORKS["auxiliary"]), torch.randn(3, 40, 64).double()
    dynamic = ({0: auto, 2: auto}, {0: auto})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        inputs = (x, torch.tensor([64, 7, 9]))
        program = torch.export.export(model, inputs, dynamic_shapes=dynamic).module()
    for batch, time in [(2, 150), (5, 9)]:
        y, lengths = torch.randn(batch, 40, time).double(), torch.arange(time, time - batch, -1)
        torch.testing.assert_close(program(y, lengths), model(y, lengths))


@pytest.mark.slow
def test_the_auxiliary_network_compiles_into_one_graph_in_training():
    torch.compiler.reset()
    torch.manual_seed(0)
    model = NETWORKS["auxiliary"](dropout=0.0).double()
    x, lengths = torch.randn(3, 40, 40).double(), torch.tensor([40, 9, 1])
    expected = copy.deepcopy(model)(x, lengths)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")(x, lengths)
    assert isinstance(compiled, AuxiliaryScores)
    torch.testing.assert_close(compiled, expected)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: SkipAttention(0), ValueError, "n_classes: wanted an integer >= 1, got 0"),
        (lambda: SkipAttention(3, spatial_kernel=5), ValueError, "spatial_kernel: wanted one of 3, 7, got 5"),
        (lambda: SkipAttention(3, delta_width=4), ValueError, "delta_width: wanted an odd integer, got 4"),
        (lambda: SkipAttention(3, dropout=2), ValueError, "dropout: wanted a finite number from 0 to 1"),
        (lambda: CBAM(8, kernel_size="7"), TypeError, "kernel_size: wanted an integer"),
        (lambda: CBAM(8)(torch.zeros(2, 4, 3, 3)), ValueError, r"x: wanted \(B, 8, F, N\)"),
        (lambda: tiny()(torch.zeros(2, 9)), ValueError, "spectrogram: wanted 3 or 4 axes"),
        (lambda: tiny()(torch.zeros(2, 1, 9, 9)), ValueError, r"wanted \(B, 3, F, N\)"),
        (lambda: tiny()(torch.zeros(2, 9, 0)), ValueError, "F and N from 1"),
        (lambda: tiny(delta_width=None)(torch.zeros(2, 9, 9)), ValueError, r"wanted \(B, 3, F, N\)"),
        (lambda: tiny(in_channels=4)(torch.zeros(2, 9, 9)), ValueError, r"wanted \(B, 4, F, N\)"),
        (lambda: tiny()(torch.zeros(2, 9, 9).int()), TypeError, "spectrogram: wanted a floating-point"),
        (lambda: tiny()(torch.zeros(2, 9, 9), torch.tensor([10, 9])), ValueError, "lengths: .* got 10"),
    ],
)
def test_bad_input_is_named(build, error, message):
    with pytest.raises(error, match=message):
        build()


def tiny(**settings):
    return SkipAttention(3, base_depth=2, **settings)


def test_a_reference_state_dict_of_another_network_is_refused():
    with pytest.raises(RuntimeError, match=r"Missing key.*blocks\.0"):
        tiny().load_reference_state_dict({"conv9.weight": torch.zeros(3)})
