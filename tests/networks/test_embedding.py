"""Embeddings of integer components."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax.networks.embedding import MlpEmbedding, SumEmbedding
from dream_jax.networks.values import make_embedding
from tests.networks.sequences import SIZES, T, make, sequence


def test_sum_embedding_is_the_sum_of_table_rows():
    net, x = SumEmbedding(SIZES, 6), sequence()[0]
    apply, params = make(net, x)
    table = np.asarray(params["params"]["table"])
    assert table.shape == (4 + 3, 6)
    x = np.asarray(x)
    np.testing.assert_allclose(
        apply(params, x), table[x[:, 0]] + table[4 + x[:, 1]], rtol=1e-5, atol=1e-6
    )


def test_mlp_embedding_concatenates_its_tables():
    net, x = MlpEmbedding(SIZES, 6, component_features=2, hidden=5), sequence()[0]
    apply, params = make(net, x)
    weights = jax.tree.map(np.asarray, params["params"])
    x = np.asarray(x)
    tables = [weights[f"IndexEmbedding_{k}"]["table"] for k in range(2)]
    assert [table.shape for table in tables] == [(4, 2), (3, 2)]
    h = np.concatenate([table[x[:, k]] for k, table in enumerate(tables)], axis=-1)
    h = np.maximum(h @ weights["Dense_0"]["kernel"] + weights["Dense_0"]["bias"], 0)
    expected = h @ weights["Dense_1"]["kernel"] + weights["Dense_1"]["bias"]
    np.testing.assert_allclose(apply(params, x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["sum", "mlp"])
def test_no_components_embed_to_zeros(kind):
    net, x = make_embedding(kind, (), 6), jnp.zeros((T, 0), jnp.int32)
    apply, params = make(net, x)
    np.testing.assert_array_equal(apply(params, x), np.zeros((T, 6)))
