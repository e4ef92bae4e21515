"""Which tokens see which picture, against transformers' processor."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamax_mllama.visibility import spans


@pytest.mark.reference
@given(st.lists(st.booleans(), min_size=1, max_size=24))
def test_spans_are_those_of_transformers(pictures: list[bool]) -> None:
    from transformers.models.mllama import processing_mllama as processing

    places = [place for place, picture in enumerate(pictures) if picture]
    if not places:
        assert spans(places) == []
        return
    sparse = processing.get_cross_attention_token_mask([int(picture) for picture in pictures], 1)
    dense = processing.convert_sparse_cross_attention_mask_to_dense([sparse], [[1] * len(places)], 1, len(pictures))
    ours = np.zeros_like(dense[0, :, :, 0])
    for number, (begin, end) in enumerate(spans(places)):
        ours[begin:end, number] = 1
    assert (ours == dense[0, :, :, 0]).all()
    # What the last token of the prompt sees, every token of the answer sees.
    answer = [end is None for _begin, end in spans(places)]
    assert answer == dense[0, -1, :, 0].astype(bool).tolist()
