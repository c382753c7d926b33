"""Everything gives the same on a GPU and on a CPU. `.ci/matrix cuda` runs these tests on a GPU."""

import copy
import dataclasses
import inspect
from pathlib import Path

import pytest
import torch
from torch import nn

from contract_table import CASES, LENGTHS, cases_with, every_case
from freesound2019 import main
from method_calls import calls_of_methods
from rankaudio import LSEPLoss, Lwlrap, Tagger, predict, predict_long
from rankaudio.data import read_scores
from rankaudio.inference import FramewiseTagger
from rankaudio.metrics import F1, AveragePrecision
from small_networks import every_network, sum_of_heads, used_tagger
from tiny_recipe import make_tiny_corpus
from valid_calls import GENERATOR, valid_calls, write_files

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
ON_GPU = torch.device("cuda", 0)
# The device is an argument of these. The search trains with dropout, which each device draws by itself.
LEFT_OUT = {"Tagger.load", "Lwlrap.to", "AveragePrecision.to", "F1.to", "mel_filterbank"}
LEFT_OUT |= {"search_second_level"}


@pytest.fixture(autouse=True)
def _full_precision(monkeypatch, request):
    """Compare without TF32, whose error is that of 10 bits.

    cuDNN has no gradient of recurrent layers in evaluation mode, and PyTorch's own code has one.
    """
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cudnn, "enabled", "rnn" not in request.node.name.lower())


def moved(value, device):
    """Return a copy with every tensor, metric and Module on a device. Dropout is off: devices draw apart."""
    if isinstance(value, nn.Module):
        value = copy.deepcopy(value).to(device)
        for part in value.modules():
            part.train(part.training and not isinstance(part, nn.Dropout))
        return value
    if isinstance(value, (torch.Tensor, Lwlrap, AveragePrecision, F1)):
        return copy.deepcopy(value).to(device)
    if type(value) is dict:
        return {key: moved(one, device) for key, one in value.items()}
    if type(value) in (list, tuple):
        return type(value)(moved(one, device) for one in value)
    if inspect.ismethod(value) and not inspect.isclass(value.__self__):
        return getattr(moved(value.__self__, device), value.__name__)
    return value


def values(result):
    """Return every tensor and number in a result, in order."""
    if isinstance(result, torch.Tensor):
        return [result.detach().double().cpu()] if result.dtype != torch.bool else [result.cpu()]
    if dataclasses.is_dataclass(result) and not isinstance(result, (type, nn.Module)):
        result = [getattr(result, field.name) for field in dataclasses.fields(result)]
    if isinstance(result, dict):
        result = list(result.values())
    if isinstance(result, (list, tuple)):
        return [one for part in result for one in values(part)]
    return [result] if isinstance(result, (int, float)) else []


def assert_close(ours, theirs, **tolerance):
    ours, theirs = values(ours), values(theirs)
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, equal_nan=True, **tolerance)


def run(case, device, *, lengths=False, dtype=torch.float64, autocast=None):
    """Return the results of a case and the gradient of its first input, which autocast leaves alone."""
    module, inputs = case.built(dtype).to(device), tuple(x.to(device, dtype) for x in case.inputs(3))
    x = inputs[0].requires_grad_()
    more = (torch.minimum(LENGTHS, torch.tensor(x.shape[-1])).to(device),) if lengths else ()
    random = {"generator": torch.Generator().manual_seed(3)} if case.random else {}
    with torch.autocast("cuda", dtype=autocast, enabled=autocast is not None):
        results = module(*inputs, *more, **random)
    results = [one for one in (results if isinstance(results, tuple) else (results,)) if one is not None]
    gradient = torch.autograd.grad(results[0].square().sum(), x)[0]
    assert all(one.device.type == torch.device(device).type for one in [*results, gradient])
    return [*results, gradient]


@every_case
def test_results_and_gradients_are_those_of_the_cpu(case):
    # On a CPU the response of each room ends at -120 dB, on a GPU that of the longest room.
    tolerance = {"rtol": 1e-6, "atol": 1e-6} if case is CASES["third-place effects"] else {}
    assert_close(run(case, ON_GPU), run(case, "cpu"), **({"rtol": 1e-7, "atol": 1e-8} | tolerance))


@cases_with(network=True)
def test_lengths_do_the_same(case):
    assert_close(run(case, ON_GPU, lengths=True), run(case, "cpu", lengths=True), rtol=1e-7, atol=1e-8)


@every_case
def test_float32_is_close(case):
    double = run(case, "cpu", dtype=torch.float64)
    single = run(case, ON_GPU, dtype=torch.float32)
    for ours, exact in zip(values(single), values(double), strict=True):
        error = (ours - exact).abs().amax() if exact.numel() else torch.tensor(0.0)
        assert error <= 2e-3 * exact.abs().amax().clamp(min=1) if exact.numel() else True


def trained(case, device):
    """Return the scores, the gradients of all parameters and the statistics after a step with lengths."""
    module = case.built(torch.float64).to(device).train()
    for part in module.modules():
        part.train(not isinstance(part, nn.Dropout))
    inputs = [x.to(device, torch.float64) for x in case.inputs(3)]
    lengths = torch.minimum(LENGTHS, torch.tensor(inputs[0].shape[-1])).to(device)
    torch.manual_seed(0)
    scores = sum_of_heads(module(*inputs, lengths))
    scores.square().sum().backward()
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    return [scores, *gradients, *module.buffers()]


@cases_with(network=True)
def test_training_with_lengths_is_that_of_the_cpu(case):
    assert_close(trained(case, ON_GPU), trained(case, "cpu"), rtol=1e-6, atol=1e-7)


@cases_with(network=False)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_changes_nothing(case, dtype):
    expected = run(case, ON_GPU, dtype=torch.float32)
    ours = run(case, ON_GPU, dtype=torch.float32, autocast=dtype)
    assert_close(ours, expected, rtol=1e-5, atol=1e-5)


@cases_with(network=True)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_networks_train_under_autocast(case, dtype):
    module = case.built(torch.float32).to(ON_GPU).train()
    inputs = [x.float().to(ON_GPU) for x in case.inputs(4)]
    with torch.autocast("cuda", dtype=dtype):
        scores = sum_of_heads(module(*inputs))
        target = torch.rand_like(scores.float()) > 0.5
        loss = LSEPLoss()(scores.reshape(4, -1), target.reshape(4, -1))
    loss.backward()
    assert loss.dtype == torch.float32
    assert all(p.grad is None or p.grad.isfinite().all() for p in module.parameters())


def all_calls(folder):
    return valid_calls(folder) | calls_of_methods(folder)


NAMES = sorted(set(all_calls(Path("unused"))) - LEFT_OUT)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = [tmp_path_factory.mktemp(name) for name in ("cpu", "gpu")]
    for folder in made:
        write_files(folder)
    return made


@pytest.mark.parametrize("name", NAMES)
def test_every_call_gives_the_same_with_tensors_on_the_gpu(name, folders):
    results = []
    for device, folder in zip(("cpu", ON_GPU), folders, strict=True):
        torch.manual_seed(0)
        call = all_calls(folder)[name]
        GENERATOR.manual_seed(0)
        function, arguments = moved(call.function, device), moved(call.arguments, device)
        results.append(function(**arguments))
    assert_close(results[1], results[0], rtol=2e-4, atol=2e-4)


@every_network
def test_taggers_predict_the_same(name):
    tagger = used_tagger(name)
    clips = [torch.randn(n, generator=torch.Generator().manual_seed(n)) for n in (400, 900, 2500, 130)]
    expected = predict(tagger, clips)
    on_gpu = copy.deepcopy(tagger).to(ON_GPU)
    torch.testing.assert_close(predict(on_gpu, clips).cpu(), expected, rtol=1e-4, atol=1e-4)
    long = torch.cat(clips)
    ours, theirs = (predict_long(one, long, window=0.05, hop=0.02) for one in (on_gpu, tagger))
    torch.testing.assert_close(ours.scores.cpu(), theirs.scores, rtol=1e-4, atol=1e-4)


def test_frames_are_scored_the_same():
    tagger, clip = used_tagger("CNN2d, max"), torch.randn(1, 4000)
    ours = FramewiseTagger(copy.deepcopy(tagger).to(ON_GPU)).eval()
    theirs = FramewiseTagger(tagger).eval()
    assert_close(ours(clip.to(ON_GPU)), theirs(clip), rtol=1e-4, atol=1e-4)


def test_a_model_moves_between_devices_through_a_file(tmp_path):
    tagger, clip = used_tagger("CNN2d, max"), torch.randn(2, 2000)
    copy.deepcopy(tagger).to(ON_GPU).save(tmp_path / "model.pt")
    for device in ("cpu", "cuda"):
        again = Tagger.load(tmp_path / "model.pt", device=device)
        ours = again(clip.to(device)).cpu()
        torch.testing.assert_close(ours, tagger(clip), rtol=1e-4, atol=1e-4)


def test_metrics_of_both_devices_merge():
    scores, target = torch.randn(40, 6), torch.rand(40, 6) > 0.6
    whole, first, second = Lwlrap(6), Lwlrap(6).to(ON_GPU), Lwlrap(6)
    whole.update(scores, target)
    first.update(scores[:15].to(ON_GPU), target[:15].to(ON_GPU))
    second.update(scores[15:], target[15:])
    second.merge(first.to("cpu"))
    torch.testing.assert_close(second.compute(), whole.compute())


@pytest.mark.parametrize("name", ["lsep", "lsep graded", "log-mel", "log-STFT", "CNN1d, max", "CNN2d, max"])
@pytest.mark.filterwarnings("ignore")  # of the compiler about itself
def test_compiled_code_gives_the_same(name):
    torch.compiler.reset()
    module = CASES[name].built(torch.float32).to(ON_GPU)
    inputs = [x.float().to(ON_GPU) for x in CASES[name].inputs(3)]
    ours = torch.compile(module, fullgraph=True)(*inputs)
    assert_close(ours, module(*inputs), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_the_example_trains_resumes_and_predicts(tmp_path, precision):
    make_tiny_corpus(tmp_path / "data")
    words = ["train", "--data", str(tmp_path / "data"), "--run", str(tmp_path / "run"), "--fold", "0"]
    words += ["--folds", "2", "--epochs", "2", "--base-depth", "4", "--device", "cuda"]
    words += ["--precision", precision, "--mixup", "0.5", "--effects", "0.75", "--shuffle", "0.5"]
    main(words)
    main([*words, "--resume"])
    for device in ("cuda", "cpu"):
        main(["predict", "--run", str(tmp_path / "run"), "--audio", str(tmp_path / "data" / "test"),
              "--out", str(tmp_path / f"{device}.csv"), "--device", device])  # fmt: skip
    ours, theirs = (read_scores(tmp_path / f"{device}.csv").scores for device in ("cuda", "cpu"))
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)
