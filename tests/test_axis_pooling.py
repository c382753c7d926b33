"""The second-place network: axis pooling against loops, the original's numbers, side inputs."""

import copy
import math
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from rankaudio.backbones import AxisPool, AxisPoolCNN, SqueezeExcite
from rankaudio.backbones._axis_blocks import AxisBlock, StatisticsGRU, Stem, pool_bin_pairs
from second_place import GOLDEN, golden_state, load, our_name, side_inputs, spectrograms

# The four kinds of axis pooling of the original program, in its order.
KINDS = [
    {"time": "mean", "frequency": "max", "first": "time"},
    {"time": "max", "frequency": "mean", "first": "frequency"},
    {"time": "mean", "frequency": "max", "first": "frequency"},
    {"time": "max", "frequency": "mean", "first": "time"},
]
VARIANTS = {
    "plain": {},
    "everything": {"stem": "multi_scale", "squeeze_excite": True, "highway": True, "pool_first": "frequency"},
}
every_variant = pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)


def tiny(**settings):
    return AxisPoolCNN(3, base_depth=4, rnn_units=4, **settings)


def tiny_inputs(batch, *, windows=5, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    statistics = torch.randn(batch, windows, 12, generator=generator, dtype=dtype)
    return {"statistics": statistics, "duration": torch.rand(batch, 1, generator=generator, dtype=dtype)}


def trained(**settings):
    """Build a network in float64 whose running statistics are not the initial ones."""
    torch.manual_seed(0)
    model = tiny(**settings).double()
    model(torch.randn(4, 12, 40).double(), None, tiny_inputs(4))
    return model.eval()


def tensors(golden, *names, dtype=torch.float64):
    return [torch.from_numpy(golden[name]).to(dtype) for name in names]


# Axis pooling


def pool_line(values, *, reduction, size, stride):
    """Pool a list of numbers by the rule that TensorFlow calls "SAME"."""
    n, pooled = len(values), []
    windows = math.ceil(n / stride)
    before = max((windows - 1) * stride + size - n, 0) // 2
    for j in range(windows):
        window = [values[i] for i in range(j * stride - before, j * stride - before + size) if 0 <= i < n]
        pooled.append(max(window) if reduction == "max" else sum(window) / len(window))
    return pooled


def pool_picture(picture, pool):
    """Pool one channel of one clip, a list of rows of frames, one axis after the other."""
    for axis in (pool.first, "frequency" if pool.first == "time" else "time"):
        lines = picture if axis == "time" else list(zip(*picture, strict=True))
        lines = [
            pool_line(line, reduction=getattr(pool, axis), size=pool.size, stride=pool.stride)
            for line in lines
        ]
        picture = lines if axis == "time" else list(zip(*lines, strict=True))
    return torch.tensor(picture, dtype=torch.float64)


@settings(max_examples=40)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    bins=st.integers(1, 7),
    padding=st.integers(0, 3),
    pool=st.builds(
        AxisPool,
        time=st.sampled_from(["mean", "max"]),
        frequency=st.sampled_from(["mean", "max"]),
        first=st.sampled_from(["time", "frequency"]),
        size=st.integers(1, 5),
        stride=st.integers(1, 4),
    ),
    with_lengths=st.booleans(),
)
def test_axis_pooling_equals_loops(lengths, bins, padding, pool, with_lengths):
    frames = max(lengths) + padding
    lengths = lengths if with_lengths else [frames] * len(lengths)
    generator = torch.Generator().manual_seed(frames)
    x = torch.randn(len(lengths), 2, bins, frames, dtype=torch.float64, generator=generator)
    for row, length in enumerate(lengths):
        x[row, ..., length:] = math.nan
    pooled = pool(x, torch.tensor(lengths) if with_lengths else None)
    left = pool.frame_lengths(torch.tensor(lengths)).tolist()
    assert pooled.shape[2:] == (math.ceil(bins / pool.stride), math.ceil(frames / pool.stride))
    for clip, result, length, n in zip(x, pooled, lengths, left, strict=True):
        assert (result[..., n:] == 0).all()
        for channel, ours in zip(clip, result, strict=True):
            expected = pool_picture(channel[:, :length].tolist(), pool)
            torch.testing.assert_close(ours[:, :n], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", ["8x14", "7x13"])
def test_axis_pooling_equals_the_originals(shape):
    golden = np.load(GOLDEN / "second_layers.npz")
    x, *expected = tensors(golden, f"axis_{shape}_input", f"axis_{shape}_output")
    for k, size in enumerate((2, 3)):
        for m, kind in enumerate(KINDS):
            pooled = AxisPool(size=size, **kind)(x)
            torch.testing.assert_close(pooled, expected[0][k, m], rtol=0, atol=1e-6)


def test_the_gradient_of_axis_pooling_equals_the_originals():
    golden = np.load(GOLDEN / "second_layers.npz")
    x, cotangent, expected = tensors(
        golden, *(f"axis_7x13_{name}" for name in ("input", "cotangent", "grad"))
    )
    x.requires_grad_()
    for k, size in enumerate((2, 3)):
        for m, kind in enumerate(KINDS):
            (gradient,) = torch.autograd.grad(AxisPool(size=size, **kind)(x), x, cotangent[k, m])
            torch.testing.assert_close(gradient, expected[k, m], rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_axis_pooling_in_half_precision_is_only_rounded(dtype):
    x, lengths = torch.randn(3, 2, 7, 13, generator=torch.Generator().manual_seed(0)).to(dtype), [13, 4, 1]
    for kind in KINDS:
        ours = AxisPool(size=3, **kind)(x, torch.tensor(lengths))
        exact = AxisPool(size=3, **kind)(x.double(), torch.tensor(lengths))
        assert ours.dtype == dtype
        torch.testing.assert_close(ours.double(), exact, rtol=2 * torch.finfo(dtype).eps, atol=1e-2)


# The other layers


def test_pairs_of_bins_equal_the_originals():
    golden = np.load(GOLDEN / "second_layers.npz")
    names = ("input", "output", "cotangent", "grad")
    x, expected, cotangent, grad = tensors(golden, *(f"global_{name}" for name in names))
    pooled = pool_bin_pairs(x.requires_grad_(), None)
    torch.testing.assert_close(pooled, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(torch.autograd.grad(pooled, x, cotangent)[0], grad, rtol=0, atol=1e-6)


def test_an_odd_number_of_bins_gets_the_last_one_twice():
    x = torch.randn(2, 3, 5, 4)
    torch.testing.assert_close(
        pool_bin_pairs(x, None), pool_bin_pairs(torch.cat([x, x[:, :, -1:]], dim=2), None)
    )


LAYERS = {
    "se": lambda: SqueezeExcite(8),
    "block": lambda: AxisBlock(3, 6, pool=AxisPool(), reduction=None, highway=False),
    "highway": lambda: AxisBlock(3, 6, pool=AxisPool(), reduction=None, highway=True),
    "se_highway": lambda: AxisBlock(
        3, 8, pool=AxisPool(size=3, first="frequency"), reduction=4, highway=True
    ),
    "msc": lambda: Stem(1, 4, sizes=(3, 5, 7), reduction=4),
    "branch": lambda: StatisticsGRU(5, momentum=0.01),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_equal_the_originals(name):
    golden, layer = np.load(GOLDEN / "second_layers.npz"), LAYERS[name]().double().eval()
    x, expected = tensors(golden, f"{name}_input", f"{name}_output")
    state = golden_state(golden, f"{name}/")
    load(layer, {key.removeprefix("first."): value for key, value in state.items()})
    result = layer(x) if name in ("se", "branch") else layer(x, None)
    torch.testing.assert_close(
        result[0] if isinstance(result, tuple) else result, expected, rtol=0, atol=1e-5
    )


def test_squeeze_and_excitation_equals_its_formula():
    torch.manual_seed(0)
    layer, x = SqueezeExcite(6).double(), torch.randn(2, 6, 3, 9).double()
    x[1, ..., 4:] = math.nan
    ours = layer(x, torch.tensor([9, 4]))
    for clip, result, length in zip(x, ours, (9, 4), strict=True):
        mean = clip[..., :length].mean((1, 2))
        hidden = (layer.reduce.weight @ mean + layer.reduce.bias).clamp(min=0)
        factor = (layer.expand.weight @ hidden + layer.expand.bias).sigmoid()
        torch.testing.assert_close(result[..., :length], clip[..., :length] * factor[:, None, None])
        assert (result[..., length:] == 0).all()


# The network


@pytest.fixture(scope="module")
def original():
    """The original's squeeze-and-excitation network, and its input in float64."""
    golden = np.load(GOLDEN / "second_se.npz")
    model = load(AxisPoolCNN(80, base_depth=4, rnn_units=8, squeeze_excite=True), golden_state(golden))
    return model, golden, spectrograms(), side_inputs()


def test_scores_equal_those_of_the_original_that_pools_frequency_first():
    golden = np.load(GOLDEN / "second_conv_mode3.npz")
    model = AxisPoolCNN(80, base_depth=4, rnn_units=8, pool_first="frequency").eval()
    with torch.no_grad():
        scores = load(model, golden_state(golden))(spectrograms().float(), None, side_inputs())
    torch.testing.assert_close(scores, *tensors(golden, "logits", dtype=torch.float32), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 1e-5), (torch.float64, 1e-5)])
def test_scores_equal_the_originals(original, dtype, atol):
    model, golden, x, side = original
    model, x = copy.deepcopy(model).to(dtype).eval(), x.to(dtype)
    features, scores = tensors(golden, "features", "logits", dtype=dtype)
    with torch.no_grad():
        torch.testing.assert_close(model.features(x, None, side), features, rtol=0, atol=atol)
        torch.testing.assert_close(model(x, None, side), scores, rtol=0, atol=atol)


def test_a_training_pass_equals_the_originals(original):
    model, golden, x, side = original
    model = copy.deepcopy(model).double().train()
    target = torch.from_numpy(np.load(GOLDEN / "model_waveforms.npz")["target"]).double() * 0.98 + 0.01
    scores = model(x, None, side)
    loss = F.binary_cross_entropy_with_logits(scores, target)
    loss.backward()
    torch.testing.assert_close(scores, *tensors(golden, "train_logits"), rtol=0, atol=1e-6)
    assert loss.item() == pytest.approx(golden["train_loss"].item(), abs=1e-8)
    parameters = dict(model.named_parameters())
    norms = zip(golden["train_grad_names"].tolist(), golden["train_grad_norms"].tolist(), strict=True)
    norms = {our_name(name): norm for name, norm in norms}
    assert norms.keys() == parameters.keys()
    for name, norm in norms.items():
        # The gradient of a bias before a batch norm is rounding error, hence the absolute part.
        assert parameters[name].grad.norm().item() == pytest.approx(norm, rel=1e-3, abs=1e-5), name


@every_variant
def test_a_clip_scores_the_same_alone_and_in_any_batch_with_side_inputs(variant):
    model, side = trained(**variant), tiny_inputs(7)
    lengths = torch.tensor([41, 1, 2, 3, 16, 31, 33])
    batch = torch.randn(7, 12, 41).double()
    for row, length in enumerate(lengths):
        batch[row, :, length:] = math.nan
    together = model(batch, lengths, side)
    single = copy.deepcopy(model).float()(batch.float(), lengths, side)
    for row, length in enumerate(lengths.tolist()):
        own = {name: values[row : row + 1] for name, values in side.items()}
        alone = model(batch[row : row + 1, :, :length], None, own)
        torch.testing.assert_close(together[row : row + 1], alone, rtol=0, atol=1e-12)
        torch.testing.assert_close(single[row : row + 1].double(), alone, rtol=0, atol=1e-5)


def test_every_side_input_reaches_the_scores():
    model, side, x = trained(), tiny_inputs(2), torch.randn(2, 12, 20).double()
    scores = model(x, None, side)
    assert model.side_inputs == ("statistics", "duration")
    for name in model.side_inputs:
        assert not torch.allclose(model(x, None, {**side, name: side[name] + 1}), scores)


@pytest.mark.parametrize("statistics", [False, True])
@pytest.mark.parametrize("duration", [False, True])
def test_a_network_says_which_side_inputs_it_takes(statistics, duration):
    model, side = tiny(statistics=statistics, duration=duration).eval(), tiny_inputs(2)
    taken = [name for name, used in (("statistics", statistics), ("duration", duration)) if used]
    assert model.side_inputs == tuple(taken)
    assert model.n_features == 64 + 4 * statistics + duration
    x = torch.randn(2, 12, 20)
    # Tensors that the network does not take are ignored.
    assert torch.equal(model(x, None, side), model(x, None, {name: side[name] for name in taken}))
    for name in taken:
        with pytest.raises(ValueError, match=f"side_inputs: wanted .*'{name}'.*, got"):
            model(x, None, {other: side[other] for other in taken if other != name})
    if not taken:
        assert torch.equal(model(x), model(x, None, side))


def test_the_depths_are_the_originals():
    with torch.device("meta"):
        plain = AxisPoolCNN(80)
        wide = AxisPoolCNN(80, width=1.5, stem="multi_scale", squeeze_excite=True)
    assert [plain.first.depth, *(block.conv2.out_channels for block in plain.blocks)] == [
        64,
        96,
        128,
        256,
        512,
    ]
    assert [wide.first.depth, *(block.conv2.out_channels for block in wide.blocks)] == [
        96,
        144,
        192,
        384,
        768,
    ]
    assert [block.pool and block.pool.size for block in plain.blocks] == [2, 2, 3, None]
    assert plain.n_features == 1024 + 128 + 1
    assert plain.statistics_gru.norm.momentum == 0.01
    assert plain.first.activate.norm.momentum == 0.15
    assert plain.first.activate.norm.eps == plain.statistics_gru.norm.eps == 1e-3


def test_initial_weights_are_glorots():
    torch.manual_seed(0)
    model = tiny(squeeze_excite=True)
    for name, parameter in model.named_parameters():
        if name.endswith("bias") or "bias_" in name:
            assert not parameter.any()
        elif "weight_hh" in name:
            torch.testing.assert_close(parameter.T @ parameter, torch.eye(4), rtol=0, atol=1e-5)
        elif parameter.ndim > 1:
            fan = (parameter.shape[0] + parameter.shape[1]) * parameter[0, 0].numel()
            bound = math.sqrt(6 / fan)
            assert 0 < parameter.abs().max() <= bound
            assert parameter.numel() < 50 or parameter.abs().max() > 0.8 * bound


@every_variant
@pytest.mark.parametrize(("bins", "frames"), [(1, 1), (5, 15), (12, 2)])
def test_small_inputs_have_finite_scores_and_gradients(variant, bins, frames):
    model, x = tiny(**variant), torch.randn(2, bins, frames, requires_grad=True)
    scores = model(x, None, tiny_inputs(2))
    scores.sum().backward()
    assert scores.shape == (2, 3)
    assert scores.isfinite().all()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_casts_the_side_inputs(dtype):
    model, side, x = trained(), tiny_inputs(2), torch.randn(2, 12, 30)
    exact = model(x.double(), None, side)
    scores = copy.deepcopy(model).to(dtype)(x.to(dtype), None, side)
    assert scores.dtype == dtype
    torch.testing.assert_close(scores.double(), exact, rtol=0.1, atol=0.1)


@pytest.mark.slow
def test_a_network_with_side_inputs_exports_with_dynamic_batch_and_time():
    auto, model = torch.export.Dim.AUTO, trained(**VARIANTS["everything"])
    x, lengths = torch.randn(3, 12, 40).double(), torch.tensor([40, 7, 9])
    side = {"statistics": {0: auto}, "duration": {0: auto}}
    dynamic = ({0: auto, 2: auto}, {0: auto}, side)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        inputs = (x, lengths, tiny_inputs(3, windows=2))
        program = torch.export.export(model, inputs, dynamic_shapes=dynamic).module()
    for batch, time in [(2, 77), (5, 9)]:
        y = torch.randn(batch, 12, time).double()
        own, given = torch.arange(time, time - batch, -1), tiny_inputs(batch, windows=2)
        torch.testing.assert_close(program(y, own, given), model(y, own, given))


@pytest.mark.slow
def test_a_network_with_side_inputs_compiles_into_one_graph_in_training():
    torch.compiler.reset()
    torch.manual_seed(0)
    model, side = tiny().double(), tiny_inputs(3, windows=2)
    x, lengths = torch.randn(3, 12, 40).double(), torch.tensor([40, 9, 1])
    expected = copy.deepcopy(model)(x, lengths, side)
    with torch._dynamo.config.patch(allow_rnn=True):
        compiled = torch.compile(model, fullgraph=True, backend="aot_eager")(x, lengths, side)
    torch.testing.assert_close(compiled, expected)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: AxisPool(time="sum"), ValueError, "time: wanted one of 'mean', 'max', got 'sum'"),
        (lambda: AxisPool(first="mel"), ValueError, "first: wanted one of 'time', 'frequency', got 'mel'"),
        (lambda: AxisPool(size=0), ValueError, "size: wanted an integer >= 1, got 0"),
        (lambda: AxisPool()(torch.zeros(2, 3, 4)), ValueError, "x: wanted 4 axes"),
        (lambda: AxisPool()(torch.zeros(2, 3, 4, 0)), ValueError, r"x: wanted \(B, K, F, N\) with F and N"),
        (lambda: SqueezeExcite(8)(torch.zeros(2, 4, 3, 3)), ValueError, r"x: wanted \(B, 8, F, N\)"),
        (lambda: tiny(stem="wide"), ValueError, "stem: wanted one of 'plain', 'multi_scale', got 'wide'"),
        (lambda: tiny(width=0), ValueError, "width: wanted a finite number from 0.01 to 100, got 0"),
        (lambda: tiny(statistics=1), TypeError, "statistics: wanted True or False, got 1"),
        (lambda: tiny()(torch.zeros(2, 2, 9, 9)), ValueError, r"spectrogram: wanted \(B, 1, F, N\)"),
        (lambda: tiny()(torch.zeros(2, 9, 9)), ValueError, "side_inputs: wanted 'statistics'.*, got none"),
        (lambda: scores_with(statistics=torch.zeros(2, 9)), ValueError, r"wanted shape \(2, any, 12\)"),
        (
            lambda: scores_with(statistics=torch.zeros(2, 5, 9)),
            ValueError,
            r"side_inputs\['statistics'\]: wanted shape \(2, any, 12\)",
        ),
        (
            lambda: scores_with(duration=torch.zeros(3, 1)),
            ValueError,
            r"side_inputs\['duration'\]: wanted 2 rows",
        ),
        (lambda: scores_with(duration=3.0), TypeError, r"side_inputs\['duration'\]: wanted a torch.Tensor"),
        (lambda: tiny()(torch.zeros(2, 9, 9), None, 5), TypeError, "side_inputs: wanted tensors by name"),
    ],
)
def test_bad_input_is_named(build, error, message):
    with pytest.raises(error, match=message):
        build()


def scores_with(**side):
    return tiny()(torch.zeros(2, 9, 9), None, {**tiny_inputs(2), **side})
