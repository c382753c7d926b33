"""The contracts that hold everywhere, one table over all public names."""

import copy
import io
import itertools
import pickle

import pytest
import torch

from contract_table import (
    CASES,
    ELSEWHERE,
    LENGTHS,
    WAVEFORM_FUNCTIONS,
    assert_same,
    call,
    cases_where,
    cases_with,
    every_case,
    tensors,
)
from public_names import public_names
from small_networks import sum_of_heads


def test_every_public_name_is_in_the_table_or_named_elsewhere():
    in_table = {type(case.built()).__name__ for case in CASES.values()}
    in_table |= {case.function.__name__ for case in CASES.values() if case.function is not None}
    assert in_table | set().union(*ELSEWHERE.values()) == set(public_names())


@cases_where(lambda case: case.function is not None)
def test_twins_agree(case):
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


@pytest.mark.slow
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
    if name
    not in {"Lq", "lsep", "lsep graded", "lsep weighted", "smoothed BCE", "frequency encoding"}
    | {"ASL", "ZLPR weighted", "focal weighted"}
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
def test_results_are_on_the_device_of_the_inputs(case):
    """On the meta device nothing has a value, so this also finds whatever looks at one."""
    inputs = tuple(x.to("meta") for x in case.inputs(3))
    assert call(case, case.built().to("meta"), inputs)[0].device.type == "meta"


@cases_where(lambda case: type(case.built()).__module__.startswith("rankaudio.losses"))
def test_a_target_on_another_device_than_the_scores_is_refused(case):
    scores, target = case.inputs(3)
    with pytest.raises(ValueError, match="target: wanted the device of scores, meta, got .* on cpu"):
        case.built().to("meta")(scores.to("meta"), target)
