"""The range of each number that a public name takes: its ends are taken, and what is beyond is refused."""

import math
import re

import pytest

from valid_calls import valid_calls, write_files

# Of an argument anywhere, or of one name. A round bracket leaves the end out.
RANGES = {
    "alpha": "[0, 1]", "amin": "[1e-30, inf)", "amount": "[0, 0.5]", "base_depth": "[1, inf)",
    "batch_size": "[1, inf)", "beta": "[0, 1]", "cents": "[-2400, 2400]", "channel_dim": "[-4, 3]",
    "channels": "[1, inf)", "chunk_length": "[1, inf)", "clips": "[2, inf)", "colour": "[0, 100]",
    "damping": "[0, 100]", "decibels": "[-200, 200]", "Overdrive.decibels": "[-100, 100]",
    "overdrive.decibels": "[-100, 100]", "delta_width": "[3, inf)", "draws_per_epoch": "[1, inf)",
    "dropout": "[0, 1]", "eps": "[1e-30, inf)", "f_max": "(50, 4000]", "write_raven.f_max": "[0, inf)",
    "f_min": "[0, 4000)", "write_raven.f_min": "[0, 4000]",
    "factor": "[0.1, 10]", "fit_second_level.factor": "[0, 1)", "search_second_level.factor": "[0, 1)",
    "frame_length": "[2, inf)", "frequency": "[0, 1]", "frequency_dim": "[-4, 3]", "gain": "[0, 1]",
    "growth_rate": "[1, 100]", "hidden": "[1, inf)", "hidden_factor": "[1, inf)", "high": "(-inf, inf)",
    "hop": "[1, 8]", "predict_long.hop": "(0, inf)", "score_stream.hop": "(0, inf)",
    "Stream.hop": "(0, inf)", "hop_length": "[1, inf)", "in_channels": "[1, inf)",
    "k": "[0, inf)", "SomeOf.k": "[1, 2]", "kernel_size": "[3, 7]", "low": "(-inf, inf)", "lr": "[0, inf)",
    "latency": "[0.118, inf)",
    "masks": "[1, inf)", "max_epochs": "[1, inf)", "max_samples": "[1, inf)", "max_seconds": "(0, inf)",
    "mean_labels": "[0, 4]",
    "min_length": "[1, inf)", "n_bins": "[1, inf)", "n_blocks": "[2, 20]", "n_classes": "[1, inf)",
    "F1.n_classes": "[4, 4]",
    "n_fft": "[2, inf)", "n_folds": "[2, inf)", "multilabel_folds.n_folds": "[2, 3]",
    "random_folds.n_folds": "[2, 5]", "n_mels": "[1, inf)", "n_members": "[1, inf)",
    "new_rate": "[1, inf)", "old_rate": "[1, inf)", "orders": "[1, 2]", "p": "[0, 1]",
    "patience": "[0, inf)", "position": "[0, 1]", "power": "[1, 2]", "pre_delay": "[0, 500]", "q": "(0, 1]",
    "radius": "[0, inf)", "rank": "[0, 0]", "ratio": "(0, inf)", "reduction": "[1, inf)",
    "SecondLevelNetwork.reduction": "[1, 8]", "fit_second_level.reduction": "[1, 8]", "ref": "[0, inf)",
    "reverberance": "[0, 100]", "rnn_units": "[1, inf)", "room_scale": "[0, 100]", "run": "[0, 1]",
    "sample_rate": "(0, inf)", "scale": "[0, 1]", "DecibelMel.scale": "(-inf, inf)",
    "decibel_mel.scale": "(-inf, inf)", "seconds": "(0, inf)", "seed": "[0, inf)",
    "random_folds.seed": "[0, 4294967295]", "search_second_level.seed": "[0, 4294967295]",
    "size": "[1, inf)", "length_mask.size": "[0, inf)", "smoothing": "[0, 0.5]", "spatial_kernel": "[3, 7]",
    "spread": "[0, inf)", "start": "[0, inf)", "start_deep_supervision_on": "[0, 1]", "starts": "[0, inf)",
    "statistics_momentum": "[0, 1]", "stem_depth": "[1, inf)", "stereo_depth": "[0, 100]",
    "stop": "[1, inf)", "stride": "[1, inf)", "subset": "[0, 1]", "tail": "[0, 3600]", "time": "[0, 1]",
    "top_db": "[0, inf)", "trim_silence.top_db": "(0, inf)", "trials": "[1, inf)", "wet_gain": "[-200, 200]",
    "width": "[3, inf)", "AxisPoolCNN.width": "[0.01, 100]", "window": "[4, inf)",
    "predict_long.window": "(0, inf)", "score_stream.window": "(0, inf)", "Stream.window": "(0, inf)",
    "windows": "[1, inf)", "workers": "[0, 1024]",
    "world_size": "[1, 65536]", "wrap": "[0, 1]",
    "context": "[0, inf)", "gamma": "[0, inf)", "gamma_neg": "[0, inf)", "gamma_pos": "[0, inf)",
    "level": "(0, 1)", "margin": "[0, 1)", "max_labels": "[1, inf)", "min_duration": "[0, inf)",
    "min_gap": "[0, inf)", "n_features": "[1, inf)", "recall": "(0, 1]", "resamples": "[1, inf)",
    "snr": "[-100, 200]",
}  # fmt: skip
# Ends that need gigabytes, hundreds of processes, or another valid argument.
ONLY_BEYOND = {("tail", 1), ("workers", 1), ("n_blocks", 1), ("growth_rate", 1), ("width", 1), ("n_fft", -1)}
ONLY_BEYOND |= {("lr", -1), ("n_members", -1), ("world_size", 1)}
# Lists whose values are not of one range.
LISTS = {"groups", "lengths", "shares", "threshold", "weights"}


def is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool)


def numbers_of(call):
    """The arguments that are numbers, or pairs or lists of numbers."""
    for argument, value in call.arguments.items():
        listed = isinstance(value, tuple | list) and len(value) > 0 and all(map(is_number, value))
        if argument not in LISTS and (is_number(value) or listed):
            yield argument, value


def with_end(value, end):
    """A value of the same kind that ends at a number."""
    numbers = value if isinstance(value, tuple | list) else [value]
    kind = int if all(isinstance(each, int) for each in numbers) else float
    return tuple([kind(end)] * len(numbers)) if isinstance(value, tuple | list) else kind(end)


def beyond(value, end, sign):
    """A value just beyond an end."""
    numbers = value if isinstance(value, tuple | list) else [value]
    if all(isinstance(each, int) for each in numbers):
        return with_end(value, end + sign)
    return with_end(value, math.nextafter(end, sign * math.inf))


def answer(call, argument, value):
    """The message of the call with another value of an argument, or None."""
    try:
        call.function(**{**call.arguments, argument: value})
    except (TypeError, ValueError) as error:
        return str(error)
    return None


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    write_files(folder)
    return valid_calls(folder)


def wrong_ends(name, call, argument, value):
    """What is wrong at the ends of the range of an argument."""
    text = RANGES.get(f"{name}.{argument}") or RANGES[argument]
    low, high = (float(each) for each in re.findall(r"[-\w.]+", text))
    for end, sign, closed in ((low, -1, text[0] == "["), (high, 1, text[-1] == "]")):
        if math.isinf(end):
            continue
        if closed and (argument, sign) not in ONLY_BEYOND:
            refused = answer(call, argument, with_end(value, end))
            if refused:
                yield f"{name}: {end:g} is refused: {refused}"
        over = beyond(value, end, sign) if closed else with_end(value, end)
        if answer(call, argument, over) is None:
            yield f"{name}: {over} is taken"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("argument", [argument for argument in RANGES if "." not in argument])
def test_the_ends_are_taken_and_what_is_beyond_is_refused(calls, argument):
    numbers = {name: dict(numbers_of(call)).get(argument) for name, call in calls.items()}
    taking = {name: value for name, value in numbers.items() if value is not None}
    assert taking
    wrong = [
        text for name, value in taking.items() for text in wrong_ends(name, calls[name], argument, value)
    ]
    assert not wrong, "\n".join(wrong)


def test_each_number_has_a_range(calls):
    arguments = {argument for call in calls.values() for argument, _ in numbers_of(call)}
    assert arguments == {argument for argument in RANGES if "." not in argument}
