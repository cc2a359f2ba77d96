from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from analytics.arrays import DomainError
from analytics.health.packing import pack_array, pack_record, unpack_array, unpack_record
from analytics.health.similarity import Kernel


@given(
    hnp.arrays(
        st.sampled_from([np.float32, np.float64, np.int32, np.int64]),
        hnp.array_shapes(min_dims=0, min_side=0),
    )
)
def test_an_array_comes_back_to_the_last_bit(array: np.typing.NDArray[Any]) -> None:
    back = unpack_array(pack_array(array))

    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert back.tobytes() == array.tobytes()


@pytest.mark.parametrize(
    "damage",
    [{"zlib_base64": "?"}, {"zlib_base64": "AAAA"}, {"shape": [5]}, {"dtype": "nonsense"}],
)
def test_a_damaged_array_is_refused(damage: dict[str, Any]) -> None:
    document = pack_array(np.arange(3.0)) | damage

    with pytest.raises(DomainError, match="fit the model again"):
        unpack_array(document)


def test_a_record_with_an_entry_nobody_knows_is_refused() -> None:
    document = pack_record(Kernel(0.1, 1.0, 0.3)) | {"colour": "red"}

    with pytest.raises(DomainError, match="colour"):
        unpack_record(Kernel, document)
