import torch
from hypothesis import given
from hypothesis import strategies as st

from builders import a_sample
from medical_team.rl.batch import microbatch_rows, padded_to, reply_mask

lengths = st.lists(st.tuples(st.integers(1, 60), st.integers(1, 40)), min_size=1, max_size=30)


def samples_of(lengths_of_samples):
    return [
        a_sample(prompt_token_ids=(1,) * prompt, token_ids=(2,) * reply, log_probs=(-1.0,) * reply)
        for prompt, reply in lengths_of_samples
    ]


@given(lengths, st.integers(1, 400))
def test_every_row_is_in_one_micro_batch_within_the_token_budget(lengths_of_samples, max_tokens):
    samples = samples_of(lengths_of_samples)
    cut = list(microbatch_rows(samples, max_tokens))

    assert sorted(row for rows in cut for row in rows) == list(range(len(samples)))
    for rows in cut:
        width = max(lengths_of_samples[row][0] for row in rows) + max(lengths_of_samples[row][1] for row in rows)
        assert len(rows) == 1 or len(rows) * width <= max_tokens


@given(lengths)
def test_masks_and_padding(lengths_of_samples):
    samples = samples_of(lengths_of_samples)
    mask_NR = reply_mask(samples)

    assert mask_NR.sum(1).tolist() == [reply for _, reply in lengths_of_samples]
    old_NR = padded_to(mask_NR, [sample.old_log_probs for sample in samples])
    assert torch.equal(old_NR, -mask_NR.float())
