"""The contracts that hold everywhere, one table over all public names."""

import copy
import io
import itertools
import pickle
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from public_names import public_names
from rankaudio import (
    Chain,
    Deltas,
    FrequencyEncoding,
    Gain,
    LogMel,
    LogSTFT,
    LSEPLoss,
    ORMixup,
    Overdrive,
    PadOrCrop,
    PitchShift,
    RandomCrop,
    RandomMixer,
    RandomResizedCrop,
    Resample,
    Reverb,
    ShuffleChunks,
    SigmoidConcatMixup,
    SpecAugment,
    Speed,
    Tempo,
    ThirdPlaceEffects,
    WeightedMixup,
    deltas,
    frequency_encoding,
    gain,
    log_mel,
    log_stft,
    lsep_loss,
    or_mixup,
    overdrive,
    pad_or_crop,
    pitch_shift,
    random_crop,
    random_resized_crop,
    resample,
    reverb,
    shuffle_chunks,
    sigmoid_concat_mixup,
    spec_augment,
    speed,
    tempo,
    weighted_mixup,
)
from rankaudio.backbones import CBAM
from rankaudio.losses import LqLoss, lq_loss
from rankaudio.spectral import DecibelMel, DeltaChannels, decibel_mel
from small_networks import N_BINS, SMALL_NETWORKS, is_recurrent, small_tagger, sum_of_heads

WAVEFORM_FUNCTIONS = (decibel_mel, log_mel, log_stft)
# A 2048-sample window in miniature, so that the whole table takes seconds.
MEL = {"sample_rate": 8000, "n_fft": 64, "hop_length": 32, "n_mels": 12, "f_min": 50.0}
STFT = {"sample_rate": 8000, "n_fft": 32, "hop_length": 16}
LENGTHS = torch.tensor([200, 33, 1])


def seeded(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(7))


def labels(*shape: int) -> Tensor:
    return (seeded(*shape) > 0.3).double()


@dataclass(frozen=True)
class Case:
    """A Module, the function of the same idea, and the inputs of both (float64)."""

    module: Callable[[], nn.Module]
    inputs: Callable[[int], tuple[Tensor, ...]]
    function: Callable[..., object] | None = None
    random: bool = False
    has_p: bool = True
    network: bool = False
    time_axis: int | None = None
    settings: dict[str, object] = field(default_factory=dict)
    # An effect's function takes what its Module draws, and draws nothing itself.
    effect: bool = False

    def built(self, dtype: torch.dtype = torch.float64) -> nn.Module:
        torch.manual_seed(0)
        module = self.module().to(dtype)
        return module.eval() if self.network else module


def waves(batch: int) -> tuple[Tensor]:
    return (seeded(batch, 200),)


def effect(module: Callable[..., nn.Module], function: Callable[..., object], **settings: object) -> Case:
    return Case(
        lambda: module(p=1.0, **settings),
        waves,
        function,
        random=True,
        has_p=False,
        settings=settings,
        effect=True,
    )


CASES = {
    "lsep": Case(LSEPLoss, lambda b: (seeded(b, 5), labels(b, 5)), lsep_loss),
    "lsep graded": Case(
        lambda: LSEPLoss(graded=True),
        lambda b: (seeded(b, 5), seeded(b, 5)),
        lsep_loss,
        settings={"graded": True},
    ),
    "lsep weighted": Case(
        lambda: LSEPLoss(class_weight=torch.arange(1.0, 6.0), reduction="sum"),
        lambda b: (seeded(b, 5), labels(b, 5)),
        lsep_loss,
        settings={"class_weight": torch.arange(1.0, 6.0), "reduction": "sum"},
    ),
    "Lq": Case(LqLoss, lambda b: (seeded(b, 5), labels(b, 5)), lq_loss),
    "frequency encoding": Case(
        FrequencyEncoding, lambda b: (seeded(b, 6, 9),), frequency_encoding, time_axis=-1
    ),
    "resample": Case(
        lambda: Resample(old_rate=3, new_rate=2),
        waves,
        resample,
        settings={"old_rate": 3, "new_rate": 2},
    ),
    "log-mel": Case(lambda: LogMel(**MEL), waves, log_mel, time_axis=-1, settings=MEL),
    "log-STFT": Case(
        lambda: LogSTFT(**STFT), waves, log_stft, time_axis=-1, settings={"n_fft": 32, "hop_length": 16}
    ),
    "log-mel, matmul": Case(
        lambda: LogMel(**MEL, transform="matmul"),
        waves,
        log_mel,
        time_axis=-1,
        settings={**MEL, "transform": "matmul"},
    ),
    "deltas": Case(Deltas, lambda b: (seeded(b, 6, 20),), deltas, time_axis=-1),
    "deltas in a chain": Case(DeltaChannels, lambda b: (seeded(b, 6, 20),), time_axis=-1),
    "decibel mel": Case(
        lambda: DecibelMel(**MEL, scale=0.01),
        waves,
        decibel_mel,
        time_axis=-1,
        settings={**MEL, "scale": 0.01},
    ),
    "CBAM": Case(lambda: CBAM(4, reduction=2), lambda b: (seeded(b, 4, 6, 20),), network=True, time_axis=-1),
    "OR-mixup": Case(
        lambda: ORMixup(p=1.0),
        lambda b: (seeded(b, 200), labels(b, 4)),
        or_mixup,
        random=True,
        settings={"p": 1.0},
    ),
    "weighted mixup": Case(
        lambda: WeightedMixup(p=1.0),
        lambda b: (seeded(b, 40), labels(b, 4)),
        weighted_mixup,
        random=True,
        settings={"p": 1.0},
    ),
    "weighted mixup, beta": Case(
        lambda: WeightedMixup(p=1.0, beta=0.4),
        lambda b: (seeded(b, 6, 20), labels(b, 4)),
        weighted_mixup,
        random=True,
        settings={"p": 1.0, "beta": 0.4},
    ),
    "sigmoid concat mixup": Case(
        lambda: SigmoidConcatMixup(p=1.0),
        lambda b: (seeded(b, 6, 20), labels(b, 4)),
        sigmoid_concat_mixup,
        random=True,
        settings={"p": 1.0},
    ),
    "random mixer": Case(
        lambda: RandomMixer([(SigmoidConcatMixup(p=1.0), 0.6), (WeightedMixup(p=1.0), 0.4)]),
        lambda b: (seeded(b, 6, 20), labels(b, 4)),
        random=True,
    ),
    "shuffle chunks": Case(
        lambda: ShuffleChunks(chunk_length=30, p=1.0),
        waves,
        shuffle_chunks,
        random=True,
        settings={"chunk_length": 30, "p": 1.0},
    ),
    "random crop": Case(
        lambda: RandomCrop(size=(5, 70)), waves, random_crop, random=True, settings={"size": (5, 70)}
    ),
    "pad or crop": Case(
        lambda: PadOrCrop(size=50, fill="mean", wrap=0.5),
        waves,
        pad_or_crop,
        random=True,
        has_p=False,
        settings={"size": 50, "fill": "mean", "wrap": 0.5},
    ),
    "SpecAugment": Case(
        lambda: SpecAugment(p=1.0),
        lambda b: (seeded(b, 12, 40),),
        spec_augment,
        random=True,
        settings={"p": 1.0},
    ),
    "random resized crop": Case(
        lambda: RandomResizedCrop(p=1.0),
        lambda b: (seeded(b, 12, 24),),
        random_resized_crop,
        random=True,
        settings={"p": 1.0},
    ),
    "chain": Case(
        lambda: Chain({"shuffle": ShuffleChunks(chunk_length=30, p=1.0), "mixup": ORMixup(p=1.0)}),
        lambda b: (seeded(b, 200), labels(b, 4)),
        random=True,
    ),
    "gain": effect(Gain, gain, decibels=(-6.0, 6.0)),
    "overdrive": effect(Overdrive, overdrive, decibels=(2.0, 9.0), colour=(0.0, 50.0)),
    "reverb": effect(Reverb, reverb, reverberance=(0.0, 20.0), pre_delay=(0.0, 20.0), sample_rate=1000),
    "pitch shift": effect(PitchShift, pitch_shift, cents=(-300.0, 300.0), n_fft=48),
    "speed": effect(Speed, speed, factor=(0.9, 1.1)),
    "tempo": effect(Tempo, tempo, factor=(0.9, 1.1), n_fft=48),
    "third-place effects": Case(
        lambda: ThirdPlaceEffects(p=1.0, sample_rate=1000, n_fft=48), waves, random=True, effect=True
    ),
    **{
        name: Case(partial(build, 3), lambda b: (seeded(b, N_BINS, 40),), network=True, time_axis=-1)
        for name, build in SMALL_NETWORKS.items()
    },
    **{
        f"tagger, {name}": Case(partial(small_tagger, name), waves, network=True, time_axis=-1)
        for name in ("CNN2d, max", "CNN2d, rnn")
    },
}
# Names that the table cannot hold, with the tests that hold them to their contracts.
ELSEWHERE = {
    "test_metrics.py": {"ClassLwlrap", "Lwlrap", "lwlrap"},
    "test_chain.py": {"Augmentation", "Mixer"},
    "test_lengths.py": {"frame_lengths", "length_mask"},
    # The gradient of soft bootstrapping is not that of its value.
    "test_losses_noisy.py": {"AuxiliaryLoss", "AuxiliaryScores", "LSoftLoss", "SourceLoss", "l_soft_loss"},
    "test_trim.py": {"trim_silence"},
    "test_first_place_transforms.py": {"centre_crop"},
    "test_spectral.py": {"mel_filterbank"},
    "test_decibels_and_deltas.py": {"power_to_db"},
    "test_networks.py": {"Network"},
    "test_pool_sampler.py": {"PoolDraws", "PoolSampler"},
    "test_windowed_tagger.py": {"FrameWindows", "WindowedTagger", "frame_windows"},
    "test_inference.py": {"WindowScores", "predict", "predict_long"},
    "test_noisy.py": {
        "LabelQuality",
        "calibrate_scores",
        "label_agreement",
        "label_margin",
        "label_quality",
        "label_threshold",
        "relabel",
        "select_agreeing",
    },
    "test_second_level.py": {"SecondLevelFit", "SecondLevelNetwork", "WindowMean", "fit_second_level"},
    "test_ensemble.py": {
        "BlendFit",
        "StackedTables",
        "blend",
        "blend_tables",
        "fit_blend_weights",
        "stack_tables",
    },
    "test_data_*.py": {
        "AudioInfo",
        "Batch",
        "ClipDataset",
        "LabelTable",
        "LengthBucketSampler",
        "ScoreTable",
        "audio_info",
        "load_audio",
        "multilabel_folds",
        "pad_collate",
        "read_classes",
        "read_labels",
        "read_scores",
        "write_bytes",
        "write_labels",
        "write_scores",
        "write_text",
    },
}
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def cases_with(**wanted: object):
    chosen = {name: c for name, c in CASES.items() if all(getattr(c, k) == v for k, v in wanted.items())}
    return pytest.mark.parametrize("case", chosen.values(), ids=chosen)


def tensors(result: object) -> list[Tensor]:
    parts = result if isinstance(result, tuple) else (result,)
    return [part for part in parts if part is not None]


def call(
    case: Case, target: Callable[..., object], inputs: tuple[Tensor, ...], **settings: object
) -> list[Tensor]:
    if case.random:
        settings["generator"] = torch.Generator().manual_seed(3)
    return tensors(target(*inputs, **settings))


def assert_same(ours: list[Tensor], theirs: list[Tensor], **tolerance: object) -> None:
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, **tolerance)


def test_every_public_name_is_in_the_table_or_named_elsewhere():
    in_table = {type(case.built()).__name__ for case in CASES.values()}
    in_table |= {case.function.__name__ for case in CASES.values() if case.function is not None}
    assert in_table | set().union(*ELSEWHERE.values()) == set(public_names())


@every_case
def test_twins_agree(case):
    if case.function is None:
        return
    module, inputs = case.built(), case.inputs(3)
    ours = call(case, module, inputs)
    if case.effect:
        drawn = module.draw(*inputs, generator=torch.Generator().manual_seed(3))
        assert drawn.pop("chosen").all()
        fixed = {name: value for name, value in case.settings.items() if name not in drawn}
        size = {"size": ours[0].shape[1]} if len(ours) > 1 else {}
        assert_same(ours, tensors(case.function(*inputs, **drawn, **fixed, **size)))
    else:
        assert_same(ours, call(case, case.function, inputs, **case.settings))


@every_case
def test_repr_pickle_deepcopy_and_state_dict_round_trip(case):
    module, inputs = case.built(), case.inputs(3)
    expected = call(case, module, inputs)
    again = case.module().double().train(module.training)
    saved = io.BytesIO()
    torch.save(module.state_dict(), saved)
    saved.seek(0)
    again.load_state_dict(torch.load(saved, weights_only=True))
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module)), again):
        assert repr(twin) == repr(module)
        assert type(module).__name__ in repr(module)
        assert_same(call(case, twin, inputs), expected, rtol=0, atol=0)


@cases_with(network=False)
def test_constants_are_not_in_the_state_dict(case):
    assert case.built().state_dict() == {}


@every_case
def test_float64_stays_float64(case):
    assert call(case, case.built(), case.inputs(3))[0].dtype == torch.float64


@cases_with(network=False)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_low_precision_is_computed_in_float32_or_better(case, dtype):
    rounded = tuple(x.to(dtype) for x in case.inputs(3))
    ours = call(case, case.built(torch.float32), rounded)[0]
    exact = call(case, case.built(), tuple(x.double() for x in rounded))[0]
    # The result may be rounded to the dtype of the input, but nothing before it is.
    allowed = 2 * torch.finfo(ours.dtype).eps
    torch.testing.assert_close(ours.double(), exact, rtol=max(allowed, 1e-5), atol=max(allowed, 2e-5))


@cases_with(network=False)
def test_autocast_changes_nothing(case):
    module, inputs = case.built(torch.float32), tuple(x.float() for x in case.inputs(3))
    expected = call(case, module, inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert_same(call(case, module, inputs), expected, rtol=1e-6, atol=1e-6)


@cases_with(network=True)
def test_networks_run_under_autocast_in_training(case):
    module, inputs = case.built(torch.float32).train(), tuple(x.float() for x in case.inputs(4))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = sum_of_heads(module(*inputs)).float().square().sum()
    loss.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in module.parameters())


@every_case
def test_gradients_are_right(case):
    module, (x, *rest) = case.built(), case.inputs(2)
    x = x[..., :40] if case.function in WAVEFORM_FUNCTIONS or case.network or case.effect else x
    assert torch.autograd.gradcheck(
        lambda y: call(case, module, (y, *rest))[0],
        x.requires_grad_(),
        fast_mode=case.network or case.effect,
        nondet_tol=1e-12,
        atol=1e-4,
    )


@every_case
def test_silence_has_finite_gradients(case):
    inputs = tuple(torch.zeros_like(x) for x in case.inputs(3))
    inputs[0].requires_grad_()
    call(case, case.built(), inputs)[0].sum().backward()
    assert inputs[0].grad.isfinite().all()


@every_case
def test_compiles_into_one_graph(case):
    """Capture and derivatives of the whole graph; code generation is the next test's."""
    torch.compiler.reset()
    # PyTorch captures recurrent layers only where it is told to.
    with torch._dynamo.config.patch(allow_rnn=True):
        check_one_graph(case)


def check_one_graph(case):
    inputs = case.inputs(3)
    if case.random:  # A graph has no generator as input, so the draws come from the global one.
        module = case.built()
        check_same_draws(module, inputs)
        if case.function is not None and not case.effect:
            check_same_draws(lambda *tensors: case.function(*tensors, **case.settings), inputs)
        return
    compiled = torch.compile(case.built(), fullgraph=True, backend="aot_eager")
    assert_same(call(case, compiled, inputs), call(case, case.built(), inputs))


def check_same_draws(function, inputs):
    torch.manual_seed(1)
    expected = tensors(function(*inputs))
    torch.manual_seed(1)
    assert_same(tensors(torch.compile(function, fullgraph=True, backend="aot_eager")(*inputs)), expected)


@pytest.mark.skipif(shutil.which("g++") is None, reason="code generation needs a C++ compiler; CI has one")
@pytest.mark.parametrize("name", ["lsep", "lsep graded", "log-mel", "CNN2d, max"])
def test_compiled_code_gives_the_same(name):
    torch.compiler.reset()
    case = CASES[name]
    inputs = tuple(x.float() for x in case.inputs(3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the compiler about itself, other ones in each release
        compiled = torch.compile(case.built(torch.float32), fullgraph=True)
        ours = call(case, compiled, inputs)
    assert_same(ours, call(case, case.built(torch.float32), inputs), rtol=1e-4, atol=1e-5)


EXPORTED = {
    name: case
    for name, case in CASES.items()
    if name.startswith(("log-", "decibel", "frequency")) or (case.network and not is_recurrent(case.module()))
}
RECURRENT = {name: case for name, case in CASES.items() if case.network and is_recurrent(case.module())}


@pytest.mark.parametrize("with_lengths", [False, True], ids=["alone", "with lengths"])
@pytest.mark.parametrize("case", EXPORTED.values(), ids=EXPORTED)
def test_exports_with_dynamic_batch_and_time(case, with_lengths):
    auto = torch.export.Dim.AUTO
    module, (x,) = case.built().eval(), case.inputs(3)
    with_lengths = with_lengths and not isinstance(module, FrequencyEncoding)
    lengths = (torch.tensor([x.shape[-1], 7, 9]),) if with_lengths else ()
    dynamic = ({0: auto, x.ndim - 1: auto}, *({0: auto} for _ in lengths))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(module, (x, *lengths), dynamic_shapes=dynamic).module()
    for batch, time in [(2, 150), (5, 77)]:
        y = seeded(batch, *x.shape[1:-1], time)
        other = (torch.arange(time, time - batch, -1),) if with_lengths else ()
        torch.testing.assert_close(program(y, *other), module(y, *other))


@pytest.mark.parametrize("case", RECURRENT.values(), ids=RECURRENT)
def test_recurrent_networks_export_for_one_length(case):
    module, (x,) = case.built().eval(), case.inputs(3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(module, (x,), dynamic_shapes=({0: torch.export.Dim.AUTO},)).module()
    y = seeded(5, *x.shape[1:])
    torch.testing.assert_close(program(y), module(y))


@every_case
def test_inputs_and_global_state_are_left_alone(case):
    module, inputs = case.built(), case.inputs(3)
    copies = tuple(x.clone() for x in inputs)
    random, dtype, threads, grad = (
        torch.get_rng_state(), torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled()
    )  # fmt: skip
    call(case, module, inputs)
    assert torch.equal(torch.get_rng_state(), random)
    assert (torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled()) == (
        dtype,
        threads,
        grad,
    )
    assert_same(list(inputs), list(copies), rtol=0, atol=0)


@cases_with(random=True)
def test_random_parts_repeat_rest_and_switch_off(case):
    inputs = case.inputs(8)
    module = case.built()
    assert_same(call(case, module, inputs), call(case, module, inputs), rtol=0, atol=0)
    other = tensors(module(*inputs, generator=torch.Generator().manual_seed(4)))
    assert not torch.equal(other[0], call(case, module, inputs)[0])
    assert all(a is b for a, b in zip(module.eval()(*inputs), inputs, strict=False))
    if case.function is not None and case.has_p:
        settings = case.settings | {"p": 0.0}
        assert all(a is b for a, b in zip(case.function(*inputs, **settings), inputs, strict=False))
    if case.effect:
        assert all(a is b for a, b in zip(type(module)(p=0.0)(*inputs), inputs, strict=False))


WITH_LENGTHS = {
    name: case
    for name, case in CASES.items()
    if name not in {"Lq", "lsep", "lsep graded", "lsep weighted", "frequency encoding"}
}


@pytest.mark.parametrize("case", WITH_LENGTHS.values(), ids=WITH_LENGTHS)
def test_what_lies_beyond_a_length_has_no_influence(case):
    module, inputs = case.built(), case.inputs(3)
    lengths = torch.minimum(LENGTHS, torch.tensor(inputs[0].shape[-1]))
    spoiled = inputs[0].clone()
    for row, length in itertools.product(range(3), [None]):
        spoiled[row, ..., lengths[row] : length] = torch.nan
    clean = [call(case, module, (x, *inputs[1:], lengths)) for x in (inputs[0], spoiled)]
    assert_same(clean[1], clean[0], rtol=0, atol=0)
    assert clean[1][0].isfinite().all()


@every_case
def test_an_empty_batch_is_no_accident(case):
    module, inputs = case.built(), case.inputs(0)
    inputs[0].requires_grad_()
    result = call(case, module, inputs)[0]
    assert result.numel() == (1 if result.ndim == 0 else 0)
    result.sum().backward()
    assert inputs[0].grad is not None


@every_case
def test_inputs_on_another_device_are_refused_or_followed(case):
    """On the meta device nothing has a value, so this also finds whatever looks at one."""
    inputs = tuple(x.to("meta") for x in case.inputs(3))
    if case.network or case.random or case.function in WAVEFORM_FUNCTIONS:
        assert call(case, case.built().to("meta"), inputs)[0].device.type == "meta"
    elif case.function in (lsep_loss, lq_loss):
        module = case.built().to("meta")
        assert call(case, module, inputs)[0].device.type == "meta"
        with pytest.raises(ValueError, match="target: wanted the device of scores"):
            module(inputs[0], case.inputs(3)[1])
